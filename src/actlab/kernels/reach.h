namespace actlab {
namespace {  // of each kernel for itself

using Loop = void (*)(void* const* inputs, void* const* outputs, int64_t rows, int64_t columns, bool past);

// Two numbers by their bits in a type as wide as theirs. Numbers below 0 grow as unsigned ones the further they are from it, the others as
// signed ones; NaN lies beyond all limits.
template <typename Bits>
struct Limits {
  Bits least, most;
};

// Those within which a number times b is at most so large; none where b is no number, infinite or so large that a table could not tell it.
inline Limits<uint32_t> limits_by(float reach, float b) {
  if (!(std::abs(b) < 1e30f)) return {0, 0xffffffff};
  const uint32_t most = c10::bit_cast<uint32_t>(std::min(reach / std::abs(b), std::numeric_limits<float>::max()));
  return {most | 0x80000000, most};
}

// Runs `near` over elements that lie within limits, and `far` over the others. Where both kinds lie among each other, far ones are taken
// out, computed beside each other and put back. As long as there are none, groups of blocks are asked after their arithmetic, which waiting for
// memory then overlaps with. Input `which` is asked; those after it, so many `numbers`, and the `sums` after so many `results` are single ones.
// Sums are of terms that are 0 where the inputs are, added up in an order that depends on these inputs alone.
template <typename Bits, int which, int results, int numbers = 0, int sums = 0>
struct Reach {
  static constexpr int64_t kBlock = 512, kGroup = 8 * kBlock, kWidth = 64 / sizeof(Bits);  // elements: of a block, of a group, of a vector

  Loop near, far;
  Limits<Bits> limits;
  bool past;

  void run(void* const* inputs, void* const* outputs, int64_t count) const {
    static thread_local bool calm = true;  // no far ones in what came before, be it of another tensor: it changes no result
    for (int one = 0; one < sums; ++one) sum(outputs, one) = 0;
    for (int64_t begin = 0, length; begin < count; begin += length) {
      length = std::min(kGroup, count - begin);
      From here(inputs, outputs, begin);
      if (calm) near(here.inputs, here.outputs, length, 1, past);
      bool clean = (calm || sums) && holds_all(here.asked(), length);
      if (clean) {
        if (!calm) near(here.inputs, here.outputs, length, 1, past);
        here.add_to(outputs);
      } else {
        clean = true;
        for (int64_t done = 0; done < length; done += kBlock)
          clean &= block(inputs, outputs, begin + done, std::min(kBlock, length - done), calm && sums == 0);
      }
      calm = clean;
    }
  }

 private:
  using Block = Bits[kBlock + kWidth];

  // Inputs and outputs from an element on, with sums of their own.
  struct From {
    float found[sums + 1];
    void *inputs[which + 1 + numbers], *outputs[results + sums];

    From(void* const* all, void* const* to, int64_t begin) {
      for (int one = 0; one <= which + numbers; ++one) inputs[one] = one <= which ? static_cast<Bits*>(all[one]) + begin : all[one];
      for (int one = 0; one < results; ++one) outputs[one] = static_cast<Bits*>(to[one]) + begin;
      for (int one = 0; one < sums; ++one) outputs[results + one] = &found[one];
    }

    const Bits* asked() const { return static_cast<const Bits*>(inputs[which]); }

    void add_to(void* const* to) const {
      for (int one = 0; one < sums; ++one) sum(to, one) += found[one];
    }
  };

  static float& sum(void* const* outputs, int one) { return *static_cast<float*>(outputs[results + one]); }

  // Computes a block, whose results `near` has computed if `done`; whether it has no far ones.
  bool block(void* const* inputs, void* const* outputs, int64_t begin, int64_t length, bool done) const {
    const bool inside = holds_all(static_cast<const Bits*>(inputs[which]) + begin, length);
    if (inside && done) return true;
    From here(inputs, outputs, begin);  // after the question: the loop waits for what was stored long before it
    if (inside) near(here.inputs, here.outputs, length, 1, past);
    else mixed(here.inputs, here.outputs, length);
    here.add_to(outputs);
    return inside;
  }

  [[gnu::noinline]] void mixed(void* const* inputs, void* const* outputs, int64_t count) const {
    alignas(64) Block given[which + 1], others[sums ? which + 1 : 1], found[results], usual[results];
    void *from[which + 1 + numbers], *beside[which + 1 + numbers], *to[results + sums], *as_usual[results + sums];
    for (int one = 0; one <= which + numbers; ++one) from[one] = beside[one] = inputs[one];
    for (int one = 0; one <= which; ++one) from[one] = given[one];
    for (int one = 0; one < results + sums; ++one) to[one] = as_usual[one] = outputs[one];
    for (int one = 0; one < results; ++one) to[one] = found[one], as_usual[one] = usual[one];
    Places places;
    const int64_t outside = take(inputs, count, given, others, places);
    if (outside == count) return far(inputs, outputs, count, 1, past);
    if constexpr (sums > 0)  // far ones are none of the others
      for (int one = 0; one <= which; ++one) beside[one] = others[one];
    far(from, to, (outside + kWidth - 1) / kWidth * kWidth, 1, false);
    float of_far[sums + 1];
    for (int one = 0; one < sums; ++one) of_far[one] = sum(outputs, one);
    near(beside, as_usual, count, 1, false);
    for (int one = 0; one < sums; ++one) sum(outputs, one) += of_far[one];
    for (int one = 0; one < results; ++one) give_back(found[one], usual[one], static_cast<Bits*>(outputs[one]), count, places, past && one == 0);
  }

#if defined(CPU_CAPABILITY_AVX512)
  static constexpr bool narrow = sizeof(Bits) == 2;
  using Places = uint32_t[kBlock / kWidth];

  static uint32_t first(int64_t count) { return static_cast<uint32_t>((uint64_t{1} << std::min(kWidth, count)) - 1); }

  static __m512i load(const void* from, uint32_t there) {
    if constexpr (narrow) return _mm512_maskz_loadu_epi16(there, from);
    else return _mm512_maskz_loadu_epi32(static_cast<__mmask16>(there), from);
  }

  static void store(void* to, uint32_t there, __m512i x) {
    if constexpr (narrow) _mm512_mask_storeu_epi16(to, there, x);
    else _mm512_mask_storeu_epi32(to, static_cast<__mmask16>(there), x);
  }

  static __m512i all_of(Bits one) {
    if constexpr (narrow) return _mm512_set1_epi16(one);
    else return _mm512_set1_epi32(one);
  }

  static uint32_t beyond(__m512i left, __m512i right, __m512i least, __m512i most) {
    if constexpr (narrow) return _mm512_cmpgt_epu16_mask(left, least) | _mm512_cmpgt_epi16_mask(right, most);
    else return _mm512_cmpgt_epu32_mask(left, least) | _mm512_cmpgt_epi32_mask(right, most);
  }

  bool holds_all(const Bits* x, int64_t count) const {
    __m512i left[2] = {}, right[2] = {};
    const auto meet = [&](int side, __m512i some) {
      left[side] = narrow ? _mm512_max_epu16(left[side], some) : _mm512_max_epu32(left[side], some);
      right[side] = narrow ? _mm512_max_epi16(right[side], some) : _mm512_max_epi32(right[side], some);
    };
    int64_t one = 0;
    for (; one + 2 * kWidth <= count; one += 2 * kWidth) meet(0, _mm512_loadu_si512(x + one)), meet(1, _mm512_loadu_si512(x + one + kWidth));
    for (; one < count; one += kWidth) meet(0, load(x + one, first(count - one)));
    const __m512i least = all_of(limits.least), most = all_of(limits.most);
    return !(beyond(left[0], right[0], least, most) | beyond(left[1], right[1], least, most));
  }

  // What lies beyond side by side, of each input, and 0 after it; for sums the others with 0 in its places. Whether a vector has some is not
  // asked: nobody could foresee the answer.
  int64_t take(void* const* inputs, int64_t count, Block* given, [[maybe_unused]] Block* others, Places& places) const {
    int64_t outside = 0;
    const __m512i least = all_of(limits.least), most = all_of(limits.most);
    const auto move = [&](int64_t one, auto&& of) {
      const __m512i x = of(which);
      const uint32_t far = places[one / kWidth] = beyond(x, x, least, most);
      for (int input = 0; input <= which; ++input) {
        const __m512i some = input == which ? x : of(input);
        _mm512_storeu_si512(given[input] + outside, pressed(some, far));
        if constexpr (sums > 0) _mm512_store_si512(others[input] + one, without(some, far));
      }
      outside += __builtin_popcount(far);
    };
    int64_t one = 0;
    const auto from = [&](int input) { return static_cast<const Bits*>(inputs[input]) + one; };
    for (; one + kWidth <= count; one += kWidth) move(one, [&](int input) { return _mm512_loadu_si512(from(input)); });
    if (one < count) move(one, [&](int input) { return load(from(input), first(count - one)); });
    for (int input = 0; input <= which; ++input) _mm512_storeu_si512(given[input] + outside, _mm512_setzero_si512());
    return outside;
  }

  static void give_back(const Bits* found, const Bits* usual, Bits* to, int64_t count, const Places& places, bool past) {
    const bool stream = past && aligned(to);
    for (int64_t one = 0; one < count; one += kWidth) {
      const uint32_t far = places[one / kWidth];
      const __m512i both = spread(_mm512_load_si512(usual + one), far, _mm512_loadu_si512(found));
      found += __builtin_popcount(far);
      if (stream && count - one >= kWidth) _mm512_stream_si512(reinterpret_cast<__m512i*>(to + one), both);
      else store(to + one, first(count - one), both);
    }
  }

  static __m512i without(__m512i x, uint32_t far) {
    if constexpr (narrow) return _mm512_maskz_mov_epi16(~far, x);
    else return _mm512_maskz_mov_epi32(static_cast<__mmask16>(~far), x);
  }

  // The chosen elements of a vector before all others, and back among others.
  static __m512i pressed(__m512i x, uint32_t far) {
    if constexpr (!narrow) return _mm512_maskz_compress_epi32(static_cast<__mmask16>(far), x);
#if defined(__AVX512VBMI2__)
    else return _mm512_maskz_compress_epi16(far, x);
#else
    else return by_elements(far, x, _mm512_setzero_si512(), [](const Bits* from, Bits* to, int place, int number) { to[number] = from[place]; });
#endif
  }

  static __m512i spread(__m512i usual, uint32_t far, __m512i x) {
    if constexpr (!narrow) return _mm512_mask_expand_epi32(usual, static_cast<__mmask16>(far), x);
#if defined(__AVX512VBMI2__)
    else return _mm512_mask_expand_epi16(usual, far, x);
#else
    else return by_elements(far, x, usual, [](const Bits* from, Bits* to, int place, int number) { to[place] = from[number]; });
#endif
  }

  template <typename Move>
  static __m512i by_elements(uint32_t far, __m512i x, __m512i onto, Move move) {
    if (!far) return onto;
    alignas(64) Bits from[kWidth], to[kWidth];
    _mm512_store_si512(from, x), _mm512_store_si512(to, onto);
    for (int number = 0; far; far &= far - 1) move(from, to, __builtin_ctz(far), number++);
    return _mm512_load_si512(to);
  }
#else
  using Places = int[kBlock + 1];  // and -1 after them

  bool beyond(Bits one) const {
    using Signed = std::make_signed_t<Bits>;
    return one > limits.least || static_cast<Signed>(one) > static_cast<Signed>(limits.most);
  }

  bool holds_all(const Bits* x, int64_t count) const {
    return std::none_of(x, x + count, [this](Bits one) { return beyond(one); });
  }

  int64_t take(void* const* inputs, int64_t count, Block* given, [[maybe_unused]] Block* others, Places& places) const {
    int64_t outside = 0;
    for (int64_t one = 0; one < count; ++one)
      if (beyond(static_cast<const Bits*>(inputs[which])[one])) places[outside++] = static_cast<int>(one);
    for (int input = 0; input <= which; ++input) {
      const Bits* of = static_cast<const Bits*>(inputs[input]);
      for (int64_t one = 0; one < outside; ++one) given[input][one] = of[places[one]];
      std::fill_n(given[input] + outside, kWidth, Bits{0});
      if constexpr (sums > 0) {
        std::copy_n(of, count, others[input]);
        for (int64_t one = 0; one < outside; ++one) others[input][places[one]] = 0;
      }
    }
    places[outside] = -1;
    return outside;
  }

  static void give_back(const Bits* found, const Bits* usual, Bits* to, int64_t count, const Places& places, bool) {
    std::copy_n(usual, count, to);
    for (int64_t one = 0; places[one] >= 0; ++one) to[places[one]] = found[one];
  }
#endif
};

}  // namespace
}  // namespace actlab
