// Sparsemax along an axis, y = max(x - t, 0) with the t for which y sums to 1, and its gradient, which y tells.
//
// t is found without sorting (Michelot 1986, J. Optim. Theory Appl. 50): of the elements within 1 of the largest, none other can count, those
// below the t of all that are left fall out until none does. Sums are taken in double.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("tree-loop-vectorize")  // torch's compiler, which writes vectors itself, asks gcc not to
#endif
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kBlock = 4 * kLanes;  // elements whose largest is remembered
constexpr int64_t kGrain = 32768;       // elements below which a second thread does not pay
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Elements of one vector, and room to work on it.
struct Room {
  std::vector<float> x, g, result, maxima, left;

  explicit Room(int64_t size) : x(size), g(size), result(size), maxima((size + kBlock - 1) / kBlock), left(size) {}
};

// The largest of a few elements, infinite if one is NaN.
float largest(const float* x, int64_t count) {
  float best[kLanes], bad[kLanes] = {};
  std::fill(best, best + kLanes, -kInfinity);
  int64_t done = 0;
  for (; done + kLanes <= count; done += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float one = x[done + lane];
      best[lane] = one > best[lane] ? one : best[lane];
      bad[lane] = one == one ? bad[lane] : 1.0f;
    }
  for (; done < count; ++done) best[0] = std::isnan(x[done]) ? kInfinity : std::max(best[0], x[done]);
  const bool nan = std::any_of(bad, bad + kLanes, [](float one) { return one != 0; });
  return nan ? kInfinity : *std::max_element(best, best + kLanes);
}

void forward_row(float* y, Room& room, const float* x) {
  const int64_t size = room.x.size();
  const int64_t blocks = room.maxima.size();
  for (int64_t block = 0; block < blocks; ++block) room.maxima[block] = largest(x + block * kBlock, std::min(kBlock, size - block * kBlock));
  const float top = *std::max_element(room.maxima.begin(), room.maxima.end());
  if (!std::isfinite(top)) {
    std::fill(y, y + size, std::numeric_limits<float>::quiet_NaN());
    return;
  }
  int64_t count = 0;
  float* left = room.left.data();
  for (int64_t block = 0; block < blocks; ++block) {
    if (room.maxima[block] - top <= -1) continue;
    const int64_t end = std::min(size, (block + 1) * kBlock);
    for (int64_t one = block * kBlock; one < end; ++one) {
      left[count] = x[one] - top;
      count += left[count] > -1;
    }
  }
  double threshold = 0;
  for (int64_t before = 0; before != count;) {
    double sum = 0;
    for (int64_t one = 0; one < count; ++one) sum += left[one];
    threshold = (sum - 1) / count;
    before = std::exchange(count, std::remove_if(left, left + count, [&](float one) { return one <= threshold; }) - left);
  }
  const float shift = static_cast<float>(threshold);
  for (int64_t one = 0; one < size; ++one) {
    const float above = x[one] - top - shift;
    y[one] = above > 0 ? above : 0.0f;
  }
}

void backward_row(float* dx, Room& room, const float* y, const float* g) {
  const int64_t size = room.x.size();
  if (std::isnan(y[0])) {
    std::fill(dx, dx + size, y[0]);
    return;
  }
  double sums[kLanes] = {}, counts[kLanes] = {};
  int64_t done = 0;
  for (; done + kLanes <= size; done += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const bool inside = y[done + lane] > 0;
      sums[lane] += inside ? g[done + lane] : 0.0f;
      counts[lane] += inside ? 1.0f : 0.0f;
    }
  for (; done < size; ++done)
    if (y[done] > 0) sums[0] += g[done], counts[0] += 1;
  double sum = 0, count = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) sum += sums[lane], count += counts[lane];
  const float mean = static_cast<float>(sum / count);
  for (int64_t one = 0; one < size; ++one) dx[one] = y[one] > 0 ? g[one] - mean : 0.0f;
}

// How far apart the elements of a vector along an axis of a contiguous tensor lie; where the axis has one, its stride may be anything.
int64_t step(const Tensor& x, int64_t dim) {
  int64_t result = 1;
  for (int64_t one = dim + 1; one < x.dim(); ++one) result *= x.size(one);
  return result;
}

// A vector in float, where it lies if it can be read there.
template <typename T>
const float* read(const T* x, int64_t stride, std::vector<float>& room) {
  if constexpr (std::is_same_v<T, float>)
    if (stride == 1) return x;
  for (size_t one = 0; one < room.size(); ++one) room[one] = static_cast<float>(x[one * stride]);
  return room.data();
}

template <typename T>
void write(const float* from, T* to, int64_t stride, int64_t size) {
  if (static_cast<const void*>(from) == to) return;
  for (int64_t one = 0; one < size; ++one) to[one * stride] = static_cast<T>(from[one]);
}

template <typename T>
float* place(T* y, int64_t stride, std::vector<float>& room) {
  if constexpr (std::is_same_v<T, float>)
    if (stride == 1) return y;
  return room.data();
}

// A tensor like x of what `work(result, room, x)` or, with g, `work(result, room, x, g)` makes of every vector along an axis, in float.
template <typename... Vectors, typename Work>
Tensor by_vectors(int64_t dim, const Work& work, const Tensor& x, const Vectors&... g) {
  Tensor made = at::empty(x.sizes(), x.options());
  const int64_t size = x.size(dim), stride = step(x, dim);
  if (!x.numel()) return made;
  const auto run = [&](auto of_type) {
    using T = decltype(of_type);
    at::parallel_for(0, x.numel() / size, std::max<int64_t>(1, kGrain / size), [&](int64_t begin, int64_t end) {
      Room room(size);
      for (int64_t one = begin; one < end; ++one) {
        const int64_t first = one / stride * stride * size + one % stride;
        T* to = made.mutable_data_ptr<T>() + first;
        float* result = place(to, stride, room.result);
        work(result, room, read(x.const_data_ptr<T>() + first, stride, room.x), read(g.template const_data_ptr<T>() + first, stride, room.g)...);
        write(result, to, stride, size);
      }
    });
  };
  switch (x.scalar_type()) {
    case at::kFloat: run(float()); break;
    case at::kHalf: run(at::Half()); break;
    case at::kBFloat16: run(at::BFloat16()); break;
    default: TORCH_CHECK(false, "sparsemax takes float32, float16 and bfloat16; got ", c10::toString(x.scalar_type()));
  }
  return made;
}

Tensor sparsemax(const Tensor& x, int64_t dim) {
  return by_vectors(dim, forward_row, x.contiguous());
}

Tensor sparsemax_backward(const Tensor& g, const Tensor& y, int64_t dim) {
  return by_vectors(dim, backward_row, y.contiguous(), g.to(y.scalar_type()).contiguous());
}

template <typename Signature>
auto operation(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

Tensor call_backward(const Tensor& g, const Tensor& y, int64_t dim) {
  at::AutoDispatchBelowADInplaceOrView below;
  static auto op = operation<decltype(sparsemax_backward)>("actlab::sparsemax_backward");
  return op.call(g, y, dim);
}

// The gradient, which is linear in g and its own transpose; where it is differentiable in y, it does not depend on it.
struct Slope : torch::autograd::Function<Slope> {
  static Tensor forward(AutogradContext* context, const Tensor& g, const Tensor& y, int64_t dim) {
    context->save_for_backward({y});
    context->saved_data["dim"] = dim;
    return call_backward(g, y, dim);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    if (!gradients[0].defined()) return {Tensor(), Tensor(), Tensor()};
    return {apply(gradients[0], context->get_saved_variables()[0], context->saved_data["dim"].toInt()), Tensor(), Tensor()};
  }
};

struct Sparsemax : torch::autograd::Function<Sparsemax> {
  static Tensor forward(AutogradContext* context, const Tensor& x, int64_t dim) {
    at::AutoDispatchBelowADInplaceOrView below;
    static auto op = operation<decltype(sparsemax)>("actlab::sparsemax");
    Tensor y = op.call(x, dim);
    context->save_for_backward({y});
    context->saved_data["dim"] = dim;
    return y;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    if (!gradients[0].defined()) return {Tensor(), Tensor()};
    const Tensor y = context->get_saved_variables()[0].detach();
    const int64_t dim = context->saved_data["dim"].toInt();
    const bool again = at::GradMode::is_enabled() && gradients[0].requires_grad();
    return {again ? Slope::apply(gradients[0], y, dim) : call_backward(gradients[0], y, dim), Tensor()};
  }
};

Tensor differentiable(const Tensor& x, int64_t dim) {
  if (x.requires_grad() && at::GradMode::is_enabled()) return Sparsemax::apply(x, dim);
  at::AutoDispatchBelowADInplaceOrView below;
  static auto op = operation<decltype(sparsemax)>("actlab::sparsemax");
  return op.call(x, dim);
}

Tensor meta(const Tensor& x, int64_t) { return at::empty_symint(x.sym_sizes(), x.options()); }

Tensor meta_backward(const Tensor&, const Tensor& y, int64_t) { return at::empty_symint(y.sym_sizes(), y.options()); }

}  // namespace

TORCH_LIBRARY_FRAGMENT(actlab, m) {
  m.def("sparsemax(Tensor x, int dim) -> Tensor");
  m.def("sparsemax_backward(Tensor g, Tensor y, int dim) -> Tensor");
}

TORCH_LIBRARY_IMPL(actlab, CPU, m) {
  m.impl("sparsemax", sparsemax);
  m.impl("sparsemax_backward", sparsemax_backward);
}

TORCH_LIBRARY_IMPL(actlab, Meta, m) {
  m.impl("sparsemax", meta);
  m.impl("sparsemax_backward", meta_backward);
}

TORCH_LIBRARY_IMPL(actlab, Autograd, m) { m.impl("sparsemax", differentiable); }
