// The loops of the peephole scan without Python between their steps; the operations are torch's own. See _scans.py, which says what
// every tensor holds and does the same where there is no compiler.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <vector>

using at::Tensor;

namespace {

void forward(Tensor gates, Tensor h, Tensor c, Tensor t, const Tensor& weight, const Tensor& peeps) {
  at::AutoDispatchBelowADInplaceOrView below;
  const int64_t units = t.size(1);
  const Tensor p_if = peeps.narrow(0, 0, 2).unsqueeze(-1), p_o = peeps.select(0, 2).unsqueeze(-1);
  for (int64_t now = 0; now < gates.size(0); ++now) {
    Tensor a = gates.select(0, now), before = c.select(0, now), after = c.select(0, now + 1), tanh = t.select(0, now), out = h.select(0, now + 1);
    at::addmm_out(a, a, weight, h.select(0, now));
    Tensor pair = a.narrow(0, 0, 2 * units).view({2, units, -1});
    Tensor i = pair.select(0, 0), f = pair.select(0, 1), g = a.narrow(0, 2 * units, units), o = a.narrow(0, 3 * units, units);
    pair.addcmul_(before, p_if).sigmoid_();
    g.tanh_();
    at::mul_out(after, f, before);
    after.addcmul_(i, g);
    o.addcmul_(after, p_o).sigmoid_();
    at::tanh_out(tanh, after);
    at::mul_out(out, tanh, o);
  }
}

void backward(Tensor da, Tensor dh, Tensor dc, const Tensor& to_cell, const Tensor& through, const Tensor& before, const Tensor& cells, const Tensor& turned) {
  at::AutoDispatchBelowADInplaceOrView below;
  const int64_t units = dh.size(0);
  Tensor incoming = dh;
  for (int64_t now = da.size(0) - 1; now >= 0; --now) {
    Tensor a = da.select(0, now);
    if (cells.numel()) dc.add_(cells.select(0, now));
    dc.addcmul_(incoming, to_cell.select(0, now));
    a.narrow(0, 3 * units, units).mul_(incoming);
    a.narrow(0, 0, 3 * units).view({3, units, -1}).mul_(dc);
    dc.mul_(through.select(0, now));
    incoming = before.select(0, now);
    at::addmm_out(incoming, incoming, turned, a);
  }
  dh.copy_(incoming);
}

}  // namespace

TORCH_LIBRARY(actlab_scans, m) {
  m.def("forward(Tensor(a!) gates, Tensor(b!) h, Tensor(c!) c, Tensor(d!) t, Tensor weight, Tensor peeps) -> ()", forward);
  m.def("backward(Tensor(a!) da, Tensor(b!) dh, Tensor(c!) dc, Tensor to_cell, Tensor through, Tensor(d!) before, Tensor cells, Tensor turned) -> ()", backward);
}
