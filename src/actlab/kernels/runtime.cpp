// The operators behind fused activations: shapes, threads, autograd. The arithmetic is in kernels that torch's compiler generates from
// the catalogue's entries; they are entered here by name, and asked for where one is missing.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("tree-loop-vectorize")  // torch's compiler, which writes vectors itself, asks gcc not to
#endif
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <c10/util/SmallVector.h>
#include <torch/csrc/Dtype.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/library.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

using at::Tensor;
using at::TensorList;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// A generated kernel: pointers to its inputs and outputs, elements of a row (1 where parameters are single numbers), rows, and whether the
// first output goes past the caches.
using Function = void (*)(void* const* inputs, void* const* outputs, int64_t rows, int64_t columns, bool past);

using Pointers = c10::SmallVector<void*, 8>;  // made for every piece, so without memory of their own

enum Form { kForward, kSided, kBackward, kFromOutput, kFromSided, kCurve, kForwardRows, kBackwardRows, kDrawn, kParted, kPartedChoosing, kPartedBackward, kForms };
constexpr int64_t kSeeds = int64_t{1} << 62;  // as _drawing.py has it
constexpr int64_t kSingle = -1;  // in place of the axis of the channels: every parameter is one number
enum Keep : int64_t { kInput = 0, kOutput = 1, kOutputAndSide = 2, kNothing = 3, kChoice = 4 };  // what the backward pass gets

struct Kernel {
  std::array<Function, kForms> forms{};
};

std::shared_mutex registry_lock;
std::unordered_map<std::string, Kernel> registry[3];  // by the type of the tensors: float, half, bfloat16
int (*builder)(const char* name, int type) = nullptr;

constexpr int64_t kChunk = 16384;  // elements worked on at once: three such blocks lie in a second-level cache
constexpr int64_t kTerms = 4096;  // of the gradient by a parameter, worked on at once
constexpr int64_t kGrain = 32768;  // elements below which a second thread does not pay, as in torch

int type_of(const Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat: return 0;
    case at::kHalf: return 1;
    case at::kBFloat16: return 2;
    default: throw std::runtime_error(std::string("fused activations take float32, float16 and bfloat16; got ") + c10::toString(x.scalar_type()));
  }
}

const Kernel* find(const std::string& name, int type, Form form) {
  std::shared_lock guard(registry_lock);
  auto found = registry[type].find(name);  // entries are never removed and do not move
  return found != registry[type].end() && found->second.forms[form] ? &found->second : nullptr;
}

Function kernel(const std::string& name, const Tensor& x, Form form) {
  const int type = type_of(x);
  const Kernel* found = find(name, type, form);
  if (!found && builder && builder(name.c_str(), type) == 0) found = find(name, type, form);
  if (!found) throw std::runtime_error("there is no kernel of activation '" + name + "' for this type of tensor");
  return found->forms[form];
}

// x itself where its elements fill its memory, in whatever order, else a copy that does.
Tensor dense(const Tensor& x) { return x.is_non_overlapping_and_dense() ? x : at::empty_like(x).copy_(x); }

// g in the memory order of x.
Tensor ordered_as(const Tensor& g, const Tensor& x) {
  const bool same = g.scalar_type() == x.scalar_type() && g.strides() == x.strides();
  return same ? g : at::empty_like(x).copy_(g);
}

// Bytes of the last cache, as Linux has them (the C library tells all caches of this kind together on some processors); elsewhere what is usual.
int64_t last_cache() {
  static const int64_t found = [] {
    int64_t kilobytes = 0;
    std::ifstream("/sys/devices/system/cpu/cpu0/cache/index3/size") >> kilobytes;
    return (kilobytes > 0 ? kilobytes : int64_t{32 << 10}) << 10;
  }();
  return found;
}

// Whether memory has been written before: fresh pages are zeroed at their first use, which leaves them in the caches.
bool used_before([[maybe_unused]] const Tensor& x) {
#ifdef __linux__
  const uintptr_t page = sysconf(_SC_PAGESIZE), begin = reinterpret_cast<uintptr_t>(x.data_ptr()), bytes = x.nbytes();
  const auto resident = [&](uintptr_t place) {
    unsigned char there = 0;
    return mincore(reinterpret_cast<void*>((begin + place) / page * page), 1, &there) == 0 && (there & 1);
  };
  return resident(bytes / 4) && resident(bytes / 4 * 3);
#else
  return true;
#endif
}

// Whether a result goes past the caches: where so many tensors like it do not fit into them, nobody finds there what is written, and its
// memory had better not be read before.
bool past_the_caches(const Tensor& result, int64_t tensors) {
  return tensors * int64_t(result.nbytes()) > last_cache() && used_before(result);
}

// Ends a thread's part: what went past the caches is there for the others.
void settle([[maybe_unused]] bool past) {
#ifdef __SSE2__
  if (past) _mm_sfence();
#endif
}

void* at_element(const Tensor& x, int64_t element) { return static_cast<char*>(x.data_ptr()) + element * x.element_size(); }

// How elements meet the parameters: `outer` blocks of `channels` rows of `inner` elements.
struct Layout {
  int64_t outer, channels, inner;

  bool by_rows() const { return channels > 1 && inner == 1; }  // the channels lie side by side
  int64_t rows() const { return std::max<int64_t>(1, kChunk / channels); }  // of one piece, by rows
  int64_t pieces_of_row() const { return std::max<int64_t>(1, (inner + kChunk - 1) / kChunk); }
  int64_t pieces() const { return by_rows() ? (outer + rows() - 1) / rows() : outer * channels * pieces_of_row(); }
};

Layout layout(const Tensor& x, TensorList learnt, int64_t axis) {
  const bool single = learnt.empty() || learnt[0].dim() == 0;
  if (single) return {1, 1, x.numel()};
  axis = axis < 0 ? axis + x.dim() : axis;
  const int64_t channels = x.size(axis);
  if (x.is_contiguous()) {
    int64_t inner = 1;
    for (int64_t one = axis + 1; one < x.dim(); ++one) inner *= x.size(one);
    return {channels && inner ? x.numel() / channels / inner : 0, channels, inner};
  }
  return {channels ? x.numel() / channels : 0, channels, 1};  // the channels lie innermost
}

// x in a memory order that `layout` knows.
Tensor laid_out(const Tensor& x, TensorList learnt, int64_t axis) {
  if (learnt.empty() || learnt[0].dim() == 0) return dense(x);
  const bool innermost = x.is_non_overlapping_and_dense() && x.stride(axis) == 1;
  return x.is_contiguous() || innermost ? x : x.contiguous();
}

// The parameters in float; without the copy of the library, which takes longer for one number than a small kernel.
std::vector<Tensor> in_float(TensorList learnt) {
  std::vector<Tensor> result;
  for (const auto& one : learnt) {
    if (one.scalar_type() == at::kFloat && one.is_contiguous()) {
      result.push_back(one);
    } else if (one.dim() == 0) {
      result.push_back(at::empty({}, one.options().dtype(at::kFloat)));
      AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, one.scalar_type(), "in_float", [&] {
        *result.back().mutable_data_ptr<float>() = static_cast<float>(*one.const_data_ptr<scalar_t>());
      });
    } else {
      result.push_back(one.detach().to(at::kFloat).contiguous());
    }
  }
  return result;
}

// Runs `work(piece, first element, elements or rows, first channel, columns)` over all elements, cut into pieces the same for every number of threads.
template <typename Work>
void over(const Layout& shape, bool past, const Work& work) {
  if (!shape.by_rows()) {  // every row meets one value of each parameter
    const int64_t pieces = shape.pieces_of_row();
    const int64_t each = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, std::min(shape.inner, kChunk)));
    at::parallel_for(0, shape.pieces(), each, [&](int64_t begin, int64_t end) {
      for (int64_t one = begin; one < end; ++one) {
        const int64_t row = one / pieces, start = one % pieces * kChunk;
        const int64_t count = std::min(kChunk, shape.inner - start);
        if (count > 0) work(one, row * shape.inner + start, count, row % shape.channels, 1);
      }
      settle(past);
    });
    return;
  }
  const int64_t rows = shape.rows();
  at::parallel_for(0, shape.pieces(), std::max<int64_t>(1, kGrain / (rows * shape.channels)), [&](int64_t begin, int64_t end) {
    for (int64_t one = begin; one < end; ++one) {
      const int64_t count = std::min(rows, shape.outer - one * rows);
      work(one, one * rows * shape.channels, count, 0, shape.channels);
    }
  });
}

// Runs a kernel without parameters over all elements: one call for each thread, whose part begins at a multiple of the longest vectors.
// With a seed it gets that and its first element too, as noise.h takes them.
void elementwise(Function run, std::initializer_list<Tensor> given, const Tensor& result, std::optional<int64_t> seed = {}) {
  constexpr int64_t kBlock = 64;
  const int64_t elements = result.numel();
  const bool past = past_the_caches(result, given.size() + 1);
  at::parallel_for(0, (elements + kBlock - 1) / kBlock, kGrain / kBlock, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kBlock, count = std::min(end * kBlock, elements) - first;
    std::array<void*, 3> inputs{};
    const auto next = std::transform(given.begin(), given.end(), inputs.begin(), [&](const Tensor& one) { return at_element(one, first); });
    int64_t draw[] = {seed.value_or(0), first};
    if (seed) *next = draw;
    void* outputs[] = {at_element(result, first)};
    run(inputs.data(), outputs, count, 1, past);
    settle(past);
  });
}

// Sides are ones and zeros of the tensor's own type, which the generated loops handle best; between passes each is one bit.
template <typename Word>
void pack(const Word* sides, uint8_t* bits, int64_t count) {
  int64_t done = 0;
#ifdef __AVX512BW__
  for (; done + 64 / int64_t(sizeof(Word)) <= count; done += 64 / sizeof(Word)) {
    const __m512i some = _mm512_loadu_si512(sides + done);
    if constexpr (sizeof(Word) == 2) {
      const uint32_t mask = _mm512_test_epi16_mask(some, some);
      std::memcpy(bits + done / 8, &mask, sizeof mask);
    } else {
      const uint16_t mask = _mm512_test_epi32_mask(some, some);
      std::memcpy(bits + done / 8, &mask, sizeof mask);
    }
  }
#endif
  for (; done < count; done += 8) {
    uint8_t eight = 0;
    for (int64_t one = 0; one < std::min<int64_t>(8, count - done); ++one) eight |= uint8_t(sides[done + one] != 0) << one;
    bits[done / 8] = eight;
  }
}

template <typename Word>
void unpack(const uint8_t* bits, Word* sides, int64_t count, Word one_of_type) {
  int64_t done = 0;
#ifdef __AVX512BW__
  for (; done + 64 / int64_t(sizeof(Word)) <= count; done += 64 / sizeof(Word)) {
    if constexpr (sizeof(Word) == 2) {
      uint32_t mask;
      std::memcpy(&mask, bits + done / 8, sizeof mask);
      _mm512_storeu_si512(sides + done, _mm512_maskz_set1_epi16(mask, one_of_type));
    } else {
      uint16_t mask;
      std::memcpy(&mask, bits + done / 8, sizeof mask);
      _mm512_storeu_si512(sides + done, _mm512_maskz_set1_epi32(mask, one_of_type));
    }
  }
#endif
  for (; done < count; ++done) sides[done] = bits[done / 8] >> done % 8 & 1 ? one_of_type : 0;
}

// 1, in the types of tensors.
constexpr uint32_t kOneOfFloat = 0x3f800000;
constexpr uint16_t kOneOfHalf = 0x3c00, kOneOfBFloat16 = 0x3f80;

// One side of each element of a piece, as the bits of 1 or 0 in the type of x.
struct Sides {
  static constexpr int64_t kMost = 2048;  // so that they stay in the first-level cache
  alignas(64) uint32_t room[kMost];

  void to(uint8_t* bits, const Tensor& x, int64_t count) {
    if (x.element_size() == 4) pack(room, bits, count);
    else pack(reinterpret_cast<uint16_t*>(room), bits, count);
  }
  void from(const uint8_t* bits, const Tensor& x, int64_t count) {
    if (x.element_size() == 4) unpack<uint32_t>(bits, room, count, kOneOfFloat);
    else unpack<uint16_t>(bits, reinterpret_cast<uint16_t*>(room), count, x.scalar_type() == at::kHalf ? kOneOfHalf : kOneOfBFloat16);
  }
};

// Runs `work(sides, first element, elements)` over all elements.
template <typename Work>
void over_sides(int64_t elements, bool past, const Work& work) {
  over({1, 1, elements}, past, [&](int64_t, int64_t first, int64_t count, int64_t, int64_t) {
    Sides sides;
    for (const int64_t end = first + count; first < end; first += Sides::kMost) work(sides, first, std::min(Sides::kMost, end - first));
  });
}

Tensor forward(const Tensor& given, TensorList learnt, c10::string_view name, int64_t axis, int64_t keep) {
  const Tensor x = laid_out(given, learnt, axis);
  const Layout shape = layout(x, learnt, axis);
  const Function run = kernel(std::string(name), x, shape.by_rows() ? kForwardRows : kForward);
  const std::vector<Tensor> values = in_float(learnt);
  Tensor y = at::empty_like(x);
  if (learnt.empty()) {  // nothing to place
    elementwise(run, {x}, y);
    return y;
  }
  const bool past = past_the_caches(y, 2);
  over(shape, past, [&](int64_t, int64_t first, int64_t count, int64_t channel, int64_t columns) {
    Pointers inputs{at_element(x, first)};
    for (const auto& one : values) inputs.push_back(at_element(one, one.dim() ? channel : 0));
    void* outputs[] = {at_element(y, first)};
    run(inputs.data(), outputs, count, columns, past);
  });
  return y;
}

std::tuple<Tensor, Tensor> forward_sided(const Tensor& given, c10::string_view name) {
  const Tensor x = dense(given);
  const Function run = kernel(std::string(name), x, kSided);
  Tensor y = at::empty_like(x);
  Tensor bits = at::empty({(x.numel() + 7) / 8}, x.options().dtype(at::kByte));
  const bool past = past_the_caches(y, 2);
  over_sides(x.numel(), past, [&](Sides& sides, int64_t first, int64_t count) {
    void* inputs[] = {at_element(x, first)};
    void* outputs[] = {at_element(y, first), sides.room};
    run(inputs, outputs, count, 1, past);
    sides.to(bits.mutable_data_ptr<uint8_t>() + first / 8, x, count);
  });
  return {y, bits};
}

// The sums of the parts of a gradient, for each channel, in double; of the shape and type of the parameter.
Tensor summed(const std::vector<float>& parts, const Layout& shape, const Tensor& parameter) {
  const int64_t same = shape.by_rows() ? 1 : shape.pieces_of_row();  // parts of one channel that lie side by side
  std::vector<double> sums(shape.channels);
  for (const float* part = parts.data(); part < parts.data() + parts.size(); part += same * shape.channels)
    for (int64_t channel = 0; channel < shape.channels; ++channel)
      for (int64_t one = 0; one < same; ++one) sums[channel] += part[channel * same + one];
  Tensor result = at::empty(parameter.sizes(), parameter.options());
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, result.scalar_type(), "summed", [&] {
    std::transform(sums.begin(), sums.end(), result.mutable_data_ptr<scalar_t>(), [](double sum) { return static_cast<scalar_t>(static_cast<float>(sum)); });
  });
  return result;
}

std::vector<Tensor> backward(
    const Tensor& given, const Tensor& saved, const std::optional<Tensor>& bits, TensorList learnt, c10::string_view name, int64_t axis, int64_t keep) {
  const Tensor kept = laid_out(saved, learnt, axis);
  const Tensor g = ordered_as(given, kept);
  const Layout shape = layout(kept, learnt, axis);
  const bool rows = shape.by_rows();
  const Form form = keep == kOutput ? kFromOutput : keep == kOutputAndSide ? kFromSided : rows ? kBackwardRows : kBackward;
  const Function run = kernel(std::string(name), kept, form);
  Tensor dx = at::empty_like(kept);
  if (learnt.empty() && keep != kOutputAndSide) {
    elementwise(run, {g, kept}, dx);
    return {dx};
  }
  const bool past = past_the_caches(dx, 3);
  if (keep == kOutputAndSide) {
    over_sides(kept.numel(), past, [&](Sides& sides, int64_t first, int64_t count) {
      sides.from(bits->const_data_ptr<uint8_t>() + first / 8, kept, count);
      void* inputs[] = {at_element(g, first), at_element(kept, first), sides.room};
      void* outputs[] = {at_element(dx, first)};
      run(inputs, outputs, count, 1, past);
    });
    return {dx};
  }
  const std::vector<Tensor> values = in_float(learnt);
  // Of the gradients by the parameters: one for each piece, by rows one for each channel of each piece.
  std::vector<std::vector<float>> parts(values.size(), std::vector<float>(shape.pieces() * (rows ? shape.channels : 1)));
  over(shape, past, [&](int64_t piece, int64_t first, int64_t count, int64_t channel, int64_t columns) {
    Pointers inputs{at_element(g, first), at_element(kept, first)};
    Pointers outputs{at_element(dx, first)};
    for (const auto& one : values) inputs.push_back(at_element(one, one.dim() ? channel : 0));
    if (!rows) {
      for (auto& one : parts) outputs.push_back(one.data() + piece);
      run(inputs.data(), outputs.data(), count, columns, past);
      return;
    }
    // A term for each element of a few rows, so that they stay in the first caches, summed by columns here.
    const int64_t together = std::min(count, std::max<int64_t>(1, kTerms / columns));
    const std::unique_ptr<float[]> terms(new float[values.size() * together * columns]);
    for (size_t one = 0; one < values.size(); ++one) outputs.push_back(terms.get() + one * together * columns);
    for (int64_t done = 0; done < count; done += together) {
      const int64_t some = std::min(together, count - done), place = first + done * columns;
      inputs[0] = at_element(g, place), inputs[1] = at_element(kept, place), outputs[0] = at_element(dx, place);
      run(inputs.data(), outputs.data(), some, columns, past);
      for (size_t one = 0; one < values.size(); ++one) {
        const float* term = static_cast<const float*>(outputs[one + 1]);
        float* sum = parts[one].data() + piece * columns;
        for (int64_t row = 0; row < some; ++row)
          for (int64_t column = 0; column < columns; ++column) sum[column] += term[row * columns + column];
      }
    }
  });
  std::vector<Tensor> results{dx};
  for (size_t one = 0; one < learnt.size(); ++one) results.push_back(summed(parts[one], shape, learnt[one]));
  return results;
}

// g f''(x), for the derivative of a derivative.
Tensor curve(const Tensor& given, const Tensor& saved, c10::string_view name) {
  const Tensor x = dense(saved);
  const Tensor g = ordered_as(given, x);
  const Function run = kernel(std::string(name), x, kCurve);
  Tensor result = at::empty_like(x);
  elementwise(run, {g, x}, result);
  return result;
}

// x, or a gradient, times what is drawn for it where `side` has these signs. Numbers go by the place, whatever the order in memory.
Tensor drawn(const Tensor& x, const Tensor& side, const Tensor& seed, c10::string_view name, int64_t keep) {
  const Tensor signs = side.contiguous();
  const Tensor values = x.is_same(side) ? signs : (x.scalar_type() == signs.scalar_type() ? x : x.to(signs.scalar_type())).contiguous();
  Tensor result = at::empty_like(values);
  elementwise(kernel(std::string(name), signs, kDrawn), {values, signs}, result, *seed.const_data_ptr<int64_t>());
  if (x.is_contiguous()) return result;
  const Tensor ordered = at::empty_like(x, result.options());
  return ordered.strides() == result.strides() ? result : ordered.copy_(result);
}

// One part of what a kernel reads or writes: runs of elements side by side, so many elements of the whole apart.
struct Part {
  char* data = nullptr;
  int64_t stride = 0;

  template <typename Word>
  Word* at(int64_t element, int64_t run) const {
    return reinterpret_cast<Word*>(data) + element / run * stride + element % run;
  }
};

using Parts = c10::SmallVector<Part, 8>;

// The parts along an axis, one after the other or from the last to the first, and the elements of one that lie side by side.
struct Cut {
  Parts parts;
  int64_t run;

  static Cut of(const Tensor& x, int64_t dim, int64_t count, bool last_first = false) {
    Cut result{{}, x.size(dim) / count};
    for (int64_t one = dim + 1; one < x.dim(); ++one) result.run *= x.size(one);
    for (int64_t one = 0; one < count; ++one) {
      const int64_t place = last_first ? count - 1 - one : one;
      result.parts.push_back({static_cast<char*>(x.data_ptr()) + place * result.run * x.element_size(), count * result.run});
    }
    return result;
  }
};

constexpr int64_t kShortRun = 64;  // elements of a part side by side below which they are brought together before a kernel works on them
constexpr int64_t kTogether = 1024;  // of each part, which then lie in the first-level cache
constexpr int64_t kMostParts = 8;  // of one input, as _run.py has it

// Elements of a part, from this one on, brought together; or put back where they belong.
template <bool back, typename Word>
void together(const Part& part, int64_t run, int64_t element, int64_t count, Word* __restrict room) {
  const auto each = [&](Word* __restrict memory, auto stride) {
    for (int64_t one = 0; one < count; ++one) back ? void(memory[one * stride] = room[one]) : void(room[one] = memory[one * stride]);
  };
  if (run == 1) {
    Word* memory = part.at<Word>(element, run);
    if (part.stride == 1) each(memory, std::integral_constant<int64_t, 1>());
    else if (part.stride == 2) each(memory, std::integral_constant<int64_t, 2>());  // known to the compiler, it is a few shuffles
    else each(memory, part.stride);
    return;
  }
  for (int64_t done = 0; done < count;) {
    const int64_t some = std::min(count - done, run - (element + done) % run);
    Word* memory = part.at<Word>(element + done, run);
    if constexpr (back) std::memcpy(memory, room + done, some * sizeof(Word));
    else std::memcpy(room + done, memory, some * sizeof(Word));
    done += some;
  }
}

// Of a few parts one bit each for every element, part by part: which of them were chosen.
struct Choice {
  uint8_t* bits;
  int64_t parts, elements;

  static Tensor empty(const Tensor& x, int64_t parts, int64_t elements) {
    return at::empty({parts, (elements + 7) / 8}, x.options().dtype(at::kByte));
  }
  static Choice of(const Tensor& bits, int64_t elements) { return {static_cast<uint8_t*>(bits.data_ptr()), bits.size(0), elements}; }
  uint8_t* at(int64_t part, int64_t element) const { return bits + part * ((elements + 7) / 8) + element / 8; }
};

// Runs a kernel over all elements of parts, all of the same runs. Bits of a choice it gets after what is given, or makes after what is made.
template <typename Word>
void over_parts(
    Function run, int64_t elements, int64_t length, const Parts& given, const Parts& made, bool past, const Choice* chosen, Choice* choosing, Word one_of_type) {
  const bool brought = length < kShortRun;
  const int64_t at_once = brought || chosen || choosing ? kTogether : kChunk;
  const auto block = [&](int64_t first, int64_t count) {
    alignas(64) Word room[3 * kMostParts * kTogether];  // only what is used is ever touched
    Word* free = room;
    const auto next = [&] { return std::exchange(free, free + kTogether); };
    Pointers inputs, outputs;
    for (const auto& one : given) {
      if (!brought) { inputs.push_back(one.at<Word>(first, length)); continue; }
      inputs.push_back(free);
      together<false>(one, length, first, count, next());
    }
    for (int64_t one = 0; chosen && one < chosen->parts; ++one) {
      inputs.push_back(free);
      unpack<Word>(chosen->at(one, first), next(), count, one_of_type);
    }
    for (const auto& one : made) outputs.push_back(brought ? next() : one.at<Word>(first, length));
    for (int64_t one = 0; choosing && one < choosing->parts; ++one) outputs.push_back(next());
    if (brought) {
      run(inputs.data(), outputs.data(), count, 1, false);
      for (size_t one = 0; one < made.size(); ++one) together<true>(made[one], length, first, count, static_cast<Word*>(outputs[one]));
    } else {
      for (int64_t done = 0; done < count;) {
        const int64_t some = std::min(count - done, length - (first + done) % length);
        run(inputs.data(), outputs.data(), some, 1, past);
        done += some;
        for (size_t one = 0; one < inputs.size(); ++one)
          inputs[one] = one < given.size() ? given[one].at<Word>(first + done, length) : static_cast<Word*>(inputs[one]) + some;
        for (size_t one = 0; one < outputs.size(); ++one)
          outputs[one] = one < made.size() ? made[one].at<Word>(first + done, length) : static_cast<Word*>(outputs[one]) + some;
      }
    }
    if (!choosing) return;
    for (int64_t one = 0; one < choosing->parts; ++one) pack(free - (choosing->parts - one) * kTogether, choosing->at(one, first), count);
  };
  over({1, 1, elements}, past, [&](int64_t, int64_t first, int64_t count, int64_t, int64_t) {
    for (const int64_t end = first + count; first < end; first += at_once) block(first, std::min(at_once, end - first));
  });
}

void over_parts(
    Function run, const Tensor& like, int64_t elements, int64_t length, const Parts& given, const Parts& made, bool past, const Choice* chosen = nullptr,
    Choice* choosing = nullptr) {
  if (like.element_size() == 4) over_parts<uint32_t>(run, elements, length, given, made, past, chosen, choosing, kOneOfFloat);
  else over_parts<uint16_t>(run, elements, length, given, made, past, chosen, choosing, like.scalar_type() == at::kHalf ? kOneOfHalf : kOneOfBFloat16);
}

// `sizes` with so many parts in place of so many along an axis.
template <typename Size>
std::vector<Size> with_parts(std::vector<Size> sizes, int64_t dim, int64_t parts, int64_t before) {
  sizes[dim] = sizes[dim] / before * parts;
  return sizes;
}

// What `made` parts a kernel makes of `given` ones along an axis. Those are read from the last to the first where `flipped` says so.
Tensor parted_into(const Tensor& x, int64_t dim, int64_t given, int64_t made, bool flipped, Function run, Choice* choosing) {
  Tensor y = at::empty(with_parts(x.sizes().vec(), dim, made, given), x.options());
  const Cut from = Cut::of(x, dim, given, flipped), to = Cut::of(y, dim, made);
  over_parts(run, x, x.numel() / given, from.run, from.parts, to.parts, past_the_caches(y, given + made), nullptr, choosing);
  return y;
}

Tensor parted(const Tensor& x, int64_t dim, int64_t given, int64_t made, bool flipped, int64_t, c10::string_view name) {
  return parted_into(x.contiguous(), dim, given, made, flipped, kernel(std::string(name), x, kParted), nullptr);
}

// The part chosen, and bits that tell which it was.
std::tuple<Tensor, Tensor> parted_choosing(const Tensor& x, int64_t dim, int64_t given, c10::string_view name) {
  const int64_t elements = x.numel() / given;
  Tensor bits = Choice::empty(x, given, elements);
  Choice choosing = Choice::of(bits, elements);
  return {parted_into(x.contiguous(), dim, given, 1, false, kernel(std::string(name), x, kPartedChoosing), &choosing), bits};
}

Tensor parted_backward(
    const Tensor& gradient, const Tensor& saved, int64_t dim, int64_t given, int64_t made, bool flipped, int64_t keep, c10::string_view name) {
  const bool choice = keep == kChoice;
  const Tensor kept = saved.contiguous();
  const Tensor g = (choice ? gradient : gradient.to(kept.scalar_type())).contiguous();
  Tensor dx = at::empty(with_parts(g.sizes().vec(), dim, given, made), g.options());
  const Cut from = Cut::of(g, dim, made), to = Cut::of(dx, dim, given, flipped);
  Parts inputs = from.parts;
  const int64_t elements = dx.numel() / given;
  const Choice chosen = choice ? Choice::of(kept, elements) : Choice{};
  if (!choice) {
    const Parts more = Cut::of(kept, dim, keep == kOutput ? made : given, flipped).parts;
    inputs.append(more.begin(), more.end());
  }
  over_parts(kernel(std::string(name), g, kPartedBackward), g, elements, from.run, inputs, to.parts, past_the_caches(dx, 3), choice ? &chosen : nullptr);
  return dx;
}

// x as one part, and how many of its elements lie side by side; a part without data where it is no such runs, all as far apart.
Part runs_of(const Tensor& x, int64_t& run) {
  std::vector<int64_t> dims;  // from the innermost
  for (int64_t one = x.dim() - 1; one >= 0; --one)
    if (x.size(one) != 1) dims.push_back(one);
  auto next = dims.begin();
  for (run = 1; next != dims.end() && x.stride(*next) == run; ++next) run *= x.size(*next);
  const int64_t stride = next == dims.end() ? run : x.stride(*next);
  for (int64_t expected = stride; next != dims.end(); ++next) {
    if (x.stride(*next) != expected) return {};
    expected *= x.size(*next);
  }
  return stride < run ? Part{} : Part{static_cast<char*>(x.data_ptr()), stride};
}

// Whether two tensors fill their memory in the same order, whatever it is.
bool ordered_alike(const Tensor& a, const Tensor& b) { return a.strides() == b.strides() && a.is_non_overlapping_and_dense(); }

// A tensor whose elements all lie side by side.
Part whole(const Tensor& x, int64_t run) { return {static_cast<char*>(x.data_ptr()), run}; }

// Two tensors of one shape as parts of the same runs; copied where they do not lie so.
struct Pair {
  std::array<Tensor, 2> tensors;
  Parts parts;
  int64_t run = INT64_MAX;

  Pair(const Tensor& a, const Tensor& b) : tensors{a, b} {
    if (ordered_alike(a, b)) {
      run = std::max<int64_t>(1, a.numel());
      parts = {whole(a, run), whole(b, run)};
      return;
    }
    std::array<int64_t, 2> runs;
    for (int one : {0, 1}) {
      Part part = runs_of(tensors[one], runs[one]);
      if (!part.data) part = copied(one, runs[one]);
      parts.push_back(part);
      run = std::min(run, runs[one]);
    }
    for (int one : {0, 1}) {
      if (runs[one] == run) continue;
      if (parts[one].stride != runs[one]) parts[one] = copied(one, runs[one]);
      parts[one].stride = run;  // all of it lies side by side
    }
  }
  Part copied(int one, int64_t& run) {
    tensors[one] = tensors[one].contiguous();
    return runs_of(tensors[one], run);
  }
};

// For a result or gradient of a pair: in their order where they have one, else contiguous.
Tensor empty_for(const Tensor& a, const Tensor& b) { return ordered_alike(a, b) ? at::empty_like(a) : at::empty(a.sizes(), a.options()); }

// The first times a gate of the second.
Tensor paired(const Tensor& a, const Tensor& b, c10::string_view name) {
  const Pair given(a, b);
  Tensor y = empty_for(a, b);
  over_parts(kernel(std::string(name), a, kParted), a, a.numel(), given.run, given.parts, {whole(y, given.run)}, past_the_caches(y, 3));
  return y;
}

std::tuple<Tensor, Tensor> paired_backward(const Tensor& gradient, const Tensor& a, const Tensor& b, c10::string_view name) {
  const Pair given(a, b);
  Tensor da = empty_for(a, b), db = empty_for(a, b);
  const Tensor g = ordered_as(gradient, da);
  Parts inputs{whole(g, given.run)};
  inputs.append(given.parts.begin(), given.parts.end());
  const Parts made{whole(da, given.run), whole(db, given.run)};
  over_parts(kernel(std::string(name), a, kPartedBackward), a, a.numel(), given.run, inputs, made, past_the_caches(da, 5));
  return {da, db};
}

template <typename Signature>
auto operation(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

Tensor call_forward(const Tensor& x, TensorList learnt, c10::string_view name, int64_t axis, int64_t keep) {
  static auto op = operation<decltype(forward)>("actlab::forward");
  return op.call(x, learnt, name, axis, keep);
}

std::vector<Tensor> call_backward(
    const Tensor& g, const Tensor& kept, const std::optional<Tensor>& bits, TensorList learnt, c10::string_view name, int64_t axis, int64_t keep) {
  static auto op = operation<decltype(backward)>("actlab::backward");
  return op.call(g, kept, bits, learnt, name, axis, keep);
}

// A derivative that has none of its own here: it says so when one is asked for, instead of being taken for a constant.
struct Last : torch::autograd::Function<Last> {
  static Tensor forward(AutogradContext* context, const Tensor& result, TensorList inputs, const std::string& why) {
    context->saved_data["why"] = why;
    return result.alias();
  }
  static variable_list backward(AutogradContext* context, const variable_list&) {
    throw std::runtime_error(context->saved_data["why"].toStringRef());
  }
};

Tensor last(const Tensor& result, TensorList inputs, const std::string& why) {
  return at::GradMode::is_enabled() ? Last::apply(result, inputs, why) : result;
}

constexpr auto kNoThird = "fused activations have two derivatives; for a third take module(fused=False)";
constexpr auto kNoInput = "the second derivative needs the input, and this activation has kept its output; take module(save='input')";
constexpr auto kLearns = "fused activations have no second derivative where parameters learn; take module(fused=False)";

// g f'(x) with derivatives by g and x of its own.
struct Slope : torch::autograd::Function<Slope> {
  static Tensor forward(AutogradContext* context, const Tensor& g, const Tensor& x, const std::string& name) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({g, x});
    context->saved_data["name"] = name;
    return call_backward(g, x, std::nullopt, {}, name, 1, kInput)[0];
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto name = context->saved_data["name"].toStringRef();
    if (!gradients[0].defined()) return {Tensor(), Tensor(), Tensor()};
    static auto bend = operation<decltype(curve)>("actlab::curve");
    const Tensor& g = gradients[0];
    const auto below = [&] {
      at::AutoDispatchBelowADInplaceOrView guard;
      return std::make_pair(call_backward(g, saved[1], std::nullopt, {}, name, 1, kInput)[0], bend.call(g * saved[0], saved[1], name));
    }();
    const variable_list inputs{g, saved[0], saved[1]};
    return {last(below.first, inputs, kNoThird), last(below.second, inputs, kNoThird), Tensor()};
  }
};

// What a backward pass must know beside tensors: one number in its context instead of a dictionary, which costs more than a small kernel.
struct Plan {
  std::string name;
  int64_t axis, keep, given = 1, made = 1;  // the last two and the next are of functions that work on parts
  bool flipped = false;

  static const Plan* of(c10::string_view name, int64_t axis, int64_t keep, int64_t given = 1, int64_t made = 1, bool flipped = false) {
    using Numbers = std::array<int64_t, 5>;
    static std::shared_mutex lock;
    static std::map<std::tuple<std::string, Numbers>, Plan, std::less<>> plans;  // never removed and never moved
    const Numbers numbers{axis, keep, given, made, flipped};
    {
      std::shared_lock guard(lock);
      if (const auto found = plans.find(std::tuple<c10::string_view, Numbers>{name, numbers}); found != plans.end()) return &found->second;
    }
    std::unique_lock guard(lock);
    return &plans.try_emplace({std::string(name), numbers}, Plan{std::string(name), axis, keep, given, made, flipped}).first->second;
  }
};

struct Activation : torch::autograd::Function<Activation> {
  static Tensor forward(AutogradContext* context, const Tensor& x, TensorList learnt, const Plan* plan) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->saved_data["plan"] = reinterpret_cast<int64_t>(plan);
    variable_list kept;
    Tensor y;
    if (plan->keep == kOutputAndSide) {
      static auto op = operation<decltype(forward_sided)>("actlab::forward_sided");
      Tensor bits;
      std::tie(y, bits) = op.call(x, plan->name);
      kept = {y, bits};
    } else {
      y = call_forward(x, learnt, plan->name, plan->axis, plan->keep);
      if (plan->keep == kNothing) return y;
      kept = {plan->keep == kOutput ? y : x};
      kept.insert(kept.end(), learnt.begin(), learnt.end());
    }
    if (!kept[0].is_contiguous()) context->saved_data["strides"] = kept[0].strides().vec();
    context->save_for_backward(std::move(kept));
    return y;
  }
  // A hook on saved tensors may have laid one out anew.
  template <typename Data>
  static void restore_order(Tensor& saved, Data& data) {
    const auto strides = data.find("strides");
    if (strides == data.end()) {
      saved = saved.contiguous();
    } else if (const auto before = strides->second.toIntVector(); saved.strides() != at::IntArrayRef(before)) {
      saved = at::empty_strided(saved.sizes(), before, saved.options()).copy_(saved);
    }
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const Plan& plan = *reinterpret_cast<const Plan*>(context->saved_data.at("plan").toInt());
    const auto& name = plan.name;
    const int64_t axis = plan.axis, keep = plan.keep;
    if (keep == kNothing) return {gradients[0], Tensor()};  // the slope is 1
    auto saved = context->get_saved_variables();
    restore_order(saved[0], context->saved_data);
    const bool sided = keep == kOutputAndSide;
    const variable_list learnt(saved.begin() + 1, sided ? saved.begin() + 1 : saved.end());
    variable_list results(learnt.size() + 2);
    const Tensor& g = gradients[0];
    if (!g.defined()) return results;
    if (at::GradMode::is_enabled() && keep == kInput && learnt.empty()) {
      results[0] = Slope::apply(g, saved[0], name);
      return results;
    }
    const auto found = [&] {
      at::AutoDispatchBelowADInplaceOrView below;
      return call_backward(g, saved[0], sided ? std::optional<Tensor>(saved[1]) : std::nullopt, learnt, name, axis, keep);
    }();
    std::copy(found.begin(), found.end(), results.begin());
    if (!at::GradMode::is_enabled()) return results;
    variable_list inputs(learnt);
    inputs.push_back(g);
    inputs.push_back(saved[0]);
    for (size_t one = 0; one < found.size(); ++one) results[one] = last(found[one], inputs, keep == kInput ? kLearns : kNoInput);
    return results;
  }
};

Tensor differentiable(const Tensor& x, TensorList learnt, c10::string_view name, int64_t axis, int64_t keep) {
  bool wanted = x.requires_grad();
  for (const auto& one : learnt) wanted = wanted || one.requires_grad();
  if (!wanted || !at::GradMode::is_enabled()) {
    at::AutoDispatchBelowADInplaceOrView below;
    return call_forward(x, learnt, name, axis, keep);
  }
  return Activation::apply(x, learnt, Plan::of(name, axis, keep));
}

Tensor call_drawn(const Tensor& x, const Tensor& side, const Tensor& seed, c10::string_view name, int64_t keep) {
  static auto op = operation<decltype(drawn)>("actlab::drawn");
  return op.call(x, side, seed, name, keep);
}

// `drawn` is linear in x: its derivative is itself, of the gradient.
struct Drawn : torch::autograd::Function<Drawn> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& side, const Tensor& seed, const Plan* plan) {
    at::AutoDispatchBelowADInplaceOrView below;
    Tensor y = call_drawn(x, side, seed, plan->name, plan->keep);
    context->saved_data["plan"] = reinterpret_cast<int64_t>(plan);
    context->save_for_backward({plan->keep == kOutput ? y : side, seed});
    return y;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    variable_list results(4);
    const Tensor& g = gradients[0];
    if (!g.defined()) return results;
    const auto saved = context->get_saved_variables();
    const auto& name = reinterpret_cast<const Plan*>(context->saved_data.at("plan").toInt())->name;
    if (g.requires_grad() && at::GradMode::is_enabled()) {
      results[0] = apply(g, saved[0].detach(), saved[1], Plan::of(name, kSingle, kInput));
    } else {
      at::AutoDispatchBelowADInplaceOrView below;
      results[0] = call_drawn(g, saved[0], saved[1], name, kInput);
    }
    return results;
  }
};

Tensor differentiable_drawn(const Tensor& x, const Tensor& side, const Tensor& seed, c10::string_view name, int64_t keep) {
  if (x.requires_grad() && at::GradMode::is_enabled()) return Drawn::apply(x, side, seed, Plan::of(name, kSingle, keep));
  at::AutoDispatchBelowADInplaceOrView below;
  return call_drawn(x, side, seed, name, keep);
}

constexpr auto kPartsOnce = "fused functions of an axis have no second derivative; take it within actlab.fused(False)";

struct Parted : torch::autograd::Function<Parted> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Plan* plan) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->saved_data["plan"] = reinterpret_cast<int64_t>(plan);
    const auto& [name, dim, keep, given, made, flipped] = *plan;
    if (keep == kChoice) {
      static auto op = operation<decltype(parted_choosing)>("actlab::parted_choosing");
      auto [y, bits] = op.call(x, dim, given, name);
      context->save_for_backward({bits});
      return y;
    }
    static auto op = operation<decltype(parted)>("actlab::parted");
    Tensor y = op.call(x, dim, given, made, flipped, keep, name);
    context->save_for_backward({keep == kOutput ? y : x});
    return y;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    variable_list results(2);
    if (!gradients[0].defined()) return results;
    const auto saved = context->get_saved_variables();
    const auto& [name, dim, keep, given, made, flipped] = *reinterpret_cast<const Plan*>(context->saved_data.at("plan").toInt());
    const auto found = [&] {
      at::AutoDispatchBelowADInplaceOrView below;
      static auto op = operation<decltype(parted_backward)>("actlab::parted_backward");
      return op.call(gradients[0], saved[0], dim, given, made, flipped, keep, name);
    }();
    results[0] = last(found, variable_list{gradients[0], saved[0]}, kPartsOnce);
    return results;
  }
};

Tensor differentiable_parted(const Tensor& x, int64_t dim, int64_t given, int64_t made, bool flipped, int64_t keep, c10::string_view name) {
  if (x.requires_grad() && at::GradMode::is_enabled()) return Parted::apply(x, Plan::of(name, dim, keep, given, made, flipped));
  at::AutoDispatchBelowADInplaceOrView below;
  static auto op = operation<decltype(parted)>("actlab::parted");
  return op.call(x, dim, given, made, flipped, keep, name);
}

struct Paired : torch::autograd::Function<Paired> {
  static Tensor forward(AutogradContext* context, const Tensor& a, const Tensor& b, const Plan* plan) {
    at::AutoDispatchBelowADInplaceOrView below;
    static auto op = operation<decltype(paired)>("actlab::paired");
    context->saved_data["plan"] = reinterpret_cast<int64_t>(plan);
    context->save_for_backward({a, b});
    return op.call(a, b, plan->name);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    variable_list results(3);
    if (!gradients[0].defined()) return results;
    const auto saved = context->get_saved_variables();
    const auto& name = reinterpret_cast<const Plan*>(context->saved_data.at("plan").toInt())->name;
    const auto [da, db] = [&] {
      at::AutoDispatchBelowADInplaceOrView below;
      static auto op = operation<decltype(paired_backward)>("actlab::paired_backward");
      return op.call(gradients[0], saved[0], saved[1], name);
    }();
    const variable_list inputs{gradients[0], saved[0], saved[1]};
    results[0] = last(da, inputs, kPartsOnce);
    results[1] = last(db, inputs, kPartsOnce);
    return results;
  }
};

Tensor differentiable_paired(const Tensor& a, const Tensor& b, c10::string_view name) {
  if ((a.requires_grad() || b.requires_grad()) && at::GradMode::is_enabled()) return Paired::apply(a, b, Plan::of(name, kSingle, kInput));
  at::AutoDispatchBelowADInplaceOrView below;
  static auto op = operation<decltype(paired)>("actlab::paired");
  return op.call(a, b, name);
}

// As `laid_out` places it.
Tensor meta_like(const Tensor& x, TensorList learnt, int64_t axis) {
  const bool placed = learnt.empty() || learnt[0].dim() == 0 || x.is_contiguous() || (x.is_non_overlapping_and_dense() && x.sym_stride(axis) == 1);
  return placed ? at::empty_like(x) : at::empty_like(x, x.options(), at::MemoryFormat::Contiguous);
}

Tensor meta_forward(const Tensor& x, TensorList learnt, c10::string_view, int64_t axis, int64_t) { return meta_like(x, learnt, axis); }

std::tuple<Tensor, Tensor> meta_forward_sided(const Tensor& x, c10::string_view) {
  return {at::empty_like(x), at::empty_symint({(x.sym_numel() + 7) / 8}, x.options().dtype(at::kByte))};
}

std::vector<Tensor> meta_backward(
    const Tensor&, const Tensor& kept, const std::optional<Tensor>&, TensorList learnt, c10::string_view, int64_t axis, int64_t) {
  std::vector<Tensor> results{meta_like(kept, learnt, axis)};
  for (const auto& one : learnt) results.push_back(at::empty_like(one));
  return results;
}

Tensor meta_drawn(const Tensor& x, const Tensor& side, const Tensor&, c10::string_view, int64_t) { return at::empty_like(x, side.options()); }

Tensor meta_parted(const Tensor& x, int64_t dim, int64_t given, int64_t made, bool, int64_t, c10::string_view) {
  return at::empty_symint(with_parts(x.sym_sizes().vec(), dim, made, given), x.options());
}

std::tuple<Tensor, Tensor> meta_parted_choosing(const Tensor& x, int64_t dim, int64_t given, c10::string_view) {
  const std::vector<c10::SymInt> sizes{c10::SymInt(given), (x.sym_numel() / given + 7) / 8};
  const auto bits = at::empty_symint(sizes, x.options().dtype(at::kByte));
  return {at::empty_symint(with_parts(x.sym_sizes().vec(), dim, 1, given), x.options()), bits};
}

Tensor meta_parted_backward(const Tensor& g, const Tensor&, int64_t dim, int64_t given, int64_t made, bool, int64_t, c10::string_view) {
  return at::empty_symint(with_parts(g.sym_sizes().vec(), dim, given, made), g.options());
}

Tensor meta_paired(const Tensor& a, const Tensor& b, c10::string_view) {
  const bool alike = a.sym_strides() == b.sym_strides() && a.is_non_overlapping_and_dense();
  return alike ? at::empty_like(a) : at::empty_symint(a.sym_sizes(), a.options());
}

std::tuple<Tensor, Tensor> meta_paired_backward(const Tensor&, const Tensor& a, const Tensor& b, c10::string_view name) {
  return {meta_paired(a, b, name), meta_paired(a, b, name)};
}

Tensor meta_curve(const Tensor&, const Tensor& x, c10::string_view) { return at::empty_like(x); }

// Whether x is an ordinary tensor on the CPU with no transformation at work (vmap, jvp, tracing, a Python mode): only what a call always meets.
bool is_plain(const Tensor& x) {
  constexpr auto usual = c10::DispatchKeySet({c10::DispatchKey::Dense, c10::DispatchKey::BackendSelect, c10::DispatchKey::ADInplaceOrView}) |
      c10::autograd_dispatch_keyset | c10::autocast_dispatch_keyset;
  const auto tls = c10::impl::tls_local_dispatch_key_set();
  const auto others = ((x.key_set() | tls.included_) - tls.excluded_ - usual).remove_backend(c10::BackendComponent::CPUBit);
  return x.is_cpu() && others.empty() && !at::impl::torch_function_mode_enabled() && !x._fw_grad(0).defined();
}

// x of a call from Python where it is plain and of this type.
const Tensor* plain_of_type(PyObject* x, PyObject* type) {
  if (!THPVariable_CheckExact(x)) return nullptr;
  const Tensor& found = THPVariable_Unpack(x);
  return found.scalar_type() == reinterpret_cast<THPDtype*>(type)->scalar_type && is_plain(found) ? &found : nullptr;
}

// The text of a string of Python, as long as that lives; with an error of Python's where it is none.
c10::string_view text_of(PyObject* given) {
  Py_ssize_t length = 0;
  const char* text = PyUnicode_AsUTF8AndSize(given, &length);
  return text ? c10::string_view(text, static_cast<size_t>(length)) : c10::string_view();
}

// fast(x, learnt, name, axis, keep, type): f(x), or None where x is not plain and of this type, or parameters are not single numbers as said.
// It is what torch.ops does, without the two microseconds that that costs at every call. With `draws` it draws a seed, and f is as in training.
template <bool draws>
PyObject* fast(PyObject*, PyObject* const* given, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  TORCH_CHECK(count == 6 && PyTuple_Check(given[1]) && THPDtype_Check(given[5]), "fast takes x, learnt, name, axis, keep and type");
  const Tensor* x = plain_of_type(given[0], given[5]);
  if (!x) Py_RETURN_NONE;
  std::vector<Tensor> learnt;
  for (Py_ssize_t one = 0; one < PyTuple_GET_SIZE(given[1]); ++one) {
    PyObject* value = PyTuple_GET_ITEM(given[1], one);
    if (!THPVariable_CheckExact(value) || !is_plain(THPVariable_Unpack(value))) Py_RETURN_NONE;
    learnt.push_back(THPVariable_Unpack(value));
  }
  const c10::string_view name = text_of(given[2]);
  const int64_t axis = PyLong_AsLongLong(given[3]), keep = PyLong_AsLongLong(given[4]);
  if (PyErr_Occurred()) return nullptr;
  if (axis == kSingle && std::any_of(learnt.begin(), learnt.end(), [](const Tensor& one) { return one.dim() != 0; })) Py_RETURN_NONE;
  Tensor y;
  {
    pybind11::gil_scoped_release others_may_run;
    if constexpr (draws) y = call_drawn(*x, *x, at::randint(kSeeds, {}, at::TensorOptions(at::kLong)), name, keep);
    else y = call_forward(*x, learnt, name, axis, keep);
  }
  return THPVariable_Wrap(std::move(y));
  END_HANDLE_TH_ERRORS
}

// fast_parted(x, axis, given, made, flipped, keep, name, neighbours, type): the same of `parted`; with neighbours the axis is cut into groups
// of `given`. None too where the axis is not there or cannot be cut so.
PyObject* fast_parted(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  TORCH_CHECK(count == 9 && THPDtype_Check(arguments[8]), "fast_parted takes x, axis, given, made, flipped, keep, name, neighbours and type");
  const Tensor* x = plain_of_type(arguments[0], arguments[8]);
  if (!x) Py_RETURN_NONE;
  int64_t axis = PyLong_AsLongLong(arguments[1]);
  const int64_t given = PyLong_AsLongLong(arguments[2]), made = PyLong_AsLongLong(arguments[3]), keep = PyLong_AsLongLong(arguments[5]);
  const bool flipped = PyObject_IsTrue(arguments[4]), neighbours = PyObject_IsTrue(arguments[7]);
  const c10::string_view name = text_of(arguments[6]);
  if (PyErr_Occurred()) return nullptr;
  axis = axis < 0 ? axis + x->dim() : axis;
  if (axis < 0 || axis >= x->dim() || x->size(axis) % given) Py_RETURN_NONE;
  Tensor y;
  {
    pybind11::gil_scoped_release others_may_run;
    static auto op = operation<decltype(parted)>("actlab::parted");
    if (neighbours) y = op.call(x->unflatten(axis, {x->size(axis) / given, given}), axis + 1, given, made, flipped, keep, name).squeeze(axis + 1);
    else y = op.call(*x, axis, given, made, flipped, keep, name);
  }
  return THPVariable_Wrap(std::move(y));
  END_HANDLE_TH_ERRORS
}

// fast_paired(a, b, name, type): the same of `paired`; None too where the two have not the same shape.
PyObject* fast_paired(PyObject*, PyObject* const* given, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  TORCH_CHECK(count == 4 && THPDtype_Check(given[3]), "fast_paired takes a, b, name and type");
  const Tensor *a = plain_of_type(given[0], given[3]), *b = plain_of_type(given[1], given[3]);
  if (!a || !b || a->sizes() != b->sizes()) Py_RETURN_NONE;
  const c10::string_view name = text_of(given[2]);
  if (PyErr_Occurred()) return nullptr;
  Tensor y;
  {
    pybind11::gil_scoped_release others_may_run;
    static auto op = operation<decltype(paired)>("actlab::paired");
    y = op.call(*a, *b, name);
  }
  return THPVariable_Wrap(std::move(y));
  END_HANDLE_TH_ERRORS
}

using Fast = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t);

template <Fast which>
PyObject* as_function() {
  static PyMethodDef definition{"fast", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(which)), METH_FASTCALL, nullptr};
  return PyCFunction_New(&definition, nullptr);
}

}  // namespace

TORCH_LIBRARY(actlab, m) {
  m.def("forward(Tensor x, Tensor[] learnt, str name, int axis, int keep) -> Tensor");
  m.def("forward_sided(Tensor x, str name) -> (Tensor, Tensor)");
  m.def("backward(Tensor g, Tensor kept, Tensor? sides, Tensor[] learnt, str name, int axis, int keep) -> Tensor[]");
  m.def("curve(Tensor g, Tensor x, str name) -> Tensor");
  m.def("drawn(Tensor x, Tensor side, Tensor seed, str name, int keep) -> Tensor");
  m.def("parted(Tensor x, int dim, int given, int made, bool flipped, int keep, str name) -> Tensor");
  m.def("parted_choosing(Tensor x, int dim, int given, str name) -> (Tensor, Tensor)");
  m.def("parted_backward(Tensor g, Tensor kept, int dim, int given, int made, bool flipped, int keep, str name) -> Tensor");
  m.def("paired(Tensor a, Tensor b, str name) -> Tensor");
  m.def("paired_backward(Tensor g, Tensor a, Tensor b, str name) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(actlab, CPU, m) {
  m.impl("forward", forward);
  m.impl("forward_sided", forward_sided);
  m.impl("backward", backward);
  m.impl("curve", curve);
  m.impl("drawn", drawn);
  m.impl("parted", parted);
  m.impl("parted_choosing", parted_choosing);
  m.impl("parted_backward", parted_backward);
  m.impl("paired", paired);
  m.impl("paired_backward", paired_backward);
}

TORCH_LIBRARY_IMPL(actlab, Meta, m) {
  m.impl("forward", meta_forward);
  m.impl("forward_sided", meta_forward_sided);
  m.impl("backward", meta_backward);
  m.impl("curve", meta_curve);
  m.impl("drawn", meta_drawn);
  m.impl("parted", meta_parted);
  m.impl("parted_choosing", meta_parted_choosing);
  m.impl("parted_backward", meta_parted_backward);
  m.impl("paired", meta_paired);
  m.impl("paired_backward", meta_paired_backward);
}

TORCH_LIBRARY_IMPL(actlab, Autograd, m) {
  m.impl("forward", differentiable);
  m.impl("drawn", differentiable_drawn);
  m.impl("parted", differentiable_parted);
  m.impl("paired", differentiable_paired);
}

extern "C" void actlab_set_builder(int (*given)(const char*, int)) { builder = given; }

extern "C" void actlab_enter(const char* name, int type, int form, void* function) {
  std::unique_lock guard(registry_lock);
  registry[type][name].forms[form] = reinterpret_cast<Function>(function);
}

extern "C" PyObject* actlab_fast() { return as_function<fast<false>>(); }
extern "C" PyObject* actlab_fast_drawn() { return as_function<fast<true>>(); }
extern "C" PyObject* actlab_fast_parted() { return as_function<fast_parted>(); }
extern "C" PyObject* actlab_fast_paired() { return as_function<fast_paired>(); }
