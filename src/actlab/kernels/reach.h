namespace actlab {

using Loop = void (*)(void* const* inputs, void* const* outputs, int64_t rows, int64_t columns, bool past);

// Runs `near` over elements that lie between two limits, given by their bits in a type as wide as theirs, and `far` over the others. Numbers
// below 0 grow as unsigned numbers the further they are from it, the others as signed ones; NaN lies beyond all limits. Where both kinds lie
// among each other, far ones are taken out, computed beside each other and put back. As long as there are none, blocks are asked after their
// arithmetic, which waiting for memory then overlaps with.
template <typename Bits, Bits least, Bits most, int which, int results>
struct Reach {
  static constexpr int64_t kBlock = 512, kCalm = 8 * kBlock, kWidth = 64 / sizeof(Bits);  // elements: of a block, of blocks asked at once, of a vector

  static void run(Loop near, Loop far, void* const* inputs, void* const* outputs, int64_t count, bool past) {
    bool calm = true;  // no far ones so far, or in the blocks before
    for (int64_t begin = 0, length; begin < count; begin += length) {
      length = std::min(calm ? kCalm : kBlock, count - begin);
      if (!calm) {
        calm = !block(near, far, inputs, outputs, begin, length, past, false) && begin % kCalm + length >= kCalm;
        continue;
      }
      From here(inputs, outputs, begin);
      near(here.inputs, here.outputs, length, 1, past);
      for (int64_t done = 0; done < length; done += kBlock)
        calm &= !block(near, far, inputs, outputs, begin + done, std::min(kBlock, length - done), past, true);
    }
  }

 private:
  using Block = Bits[kBlock + kWidth];

  // Inputs and outputs from an element on.
  struct From {
    void *inputs[which + 1], *outputs[results];

    From(void* const* all, void* const* to, int64_t begin) {
      for (int one = 0; one <= which; ++one) inputs[one] = static_cast<Bits*>(all[one]) + begin;
      for (int one = 0; one < results; ++one) outputs[one] = static_cast<Bits*>(to[one]) + begin;
    }
  };

  // Computes a block, of which `near` has been computed if `done`; whether it has far ones.
  static bool block(Loop near, Loop far, void* const* inputs, void* const* outputs, int64_t begin, int64_t length, bool past, bool done) {
    const bool inside = holds_all(static_cast<const Bits*>(inputs[which]) + begin, length);
    if (inside && done) return false;
    From here(inputs, outputs, begin);  // after the question: the loop waits for what was stored long before it
    if (inside) near(here.inputs, here.outputs, length, 1, past);
    else mixed(near, far, here.inputs, here.outputs, length, past);
    return !inside;
  }

  [[gnu::noinline]] static void mixed(Loop near, Loop far, void* const* inputs, void* const* outputs, int64_t count, bool past) {
    alignas(64) Block given[which + 1], found[results], usual[results];
    void *from[which + 1], *to[results], *beside[results];
    for (int one = 0; one <= which; ++one) from[one] = given[one];
    for (int one = 0; one < results; ++one) to[one] = found[one], beside[one] = usual[one];
    Places places;
    const int64_t outside = take(inputs, count, given, places);
    if (outside == count) return far(inputs, outputs, count, 1, past);
    far(from, to, (outside + kWidth - 1) / kWidth * kWidth, 1, false);
    near(inputs, beside, count, 1, false);
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

  static uint32_t beyond(__m512i left, __m512i right) {
    if constexpr (narrow) return _mm512_cmpgt_epu16_mask(left, _mm512_set1_epi16(least)) | _mm512_cmpgt_epi16_mask(right, _mm512_set1_epi16(most));
    else return _mm512_cmpgt_epu32_mask(left, _mm512_set1_epi32(least)) | _mm512_cmpgt_epi32_mask(right, _mm512_set1_epi32(most));
  }

  static bool holds_all(const Bits* x, int64_t count) {
    __m512i left[2] = {}, right[2] = {};
    const auto meet = [&](int side, __m512i some) {
      left[side] = narrow ? _mm512_max_epu16(left[side], some) : _mm512_max_epu32(left[side], some);
      right[side] = narrow ? _mm512_max_epi16(right[side], some) : _mm512_max_epi32(right[side], some);
    };
    int64_t one = 0;
    for (; one + 2 * kWidth <= count; one += 2 * kWidth) meet(0, _mm512_loadu_si512(x + one)), meet(1, _mm512_loadu_si512(x + one + kWidth));
    for (; one < count; one += kWidth) meet(0, load(x + one, first(count - one)));
    return !(beyond(left[0], right[0]) | beyond(left[1], right[1]));
  }

  // What lies beyond side by side, of each input, and 0 after it. Whether a vector has some is not asked: nobody could foresee the answer.
  static int64_t take(void* const* inputs, int64_t count, Block* given, Places& places) {
    int64_t outside = 0;
    for (int64_t one = 0; one < count; one += kWidth) {
      const uint32_t there = first(count - one);
      const __m512i x = load(static_cast<const Bits*>(inputs[which]) + one, there);
      const uint32_t far = places[one / kWidth] = beyond(x, x);
      for (int input = 0; input < which; ++input)
        _mm512_storeu_si512(given[input] + outside, pressed(load(static_cast<const Bits*>(inputs[input]) + one, there), far));
      _mm512_storeu_si512(given[which] + outside, pressed(x, far));
      outside += __builtin_popcount(far);
    }
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

  static bool beyond(Bits one) {
    using Signed = std::make_signed_t<Bits>;
    return one > least || static_cast<Signed>(one) > static_cast<Signed>(most);
  }

  static bool holds_all(const Bits* x, int64_t count) {
    return std::none_of(x, x + count, beyond);
  }

  static int64_t take(void* const* inputs, int64_t count, Block* given, Places& places) {
    int64_t outside = 0;
    for (int64_t one = 0; one < count; ++one)
      if (beyond(static_cast<const Bits*>(inputs[which])[one])) places[outside++] = static_cast<int>(one);
    for (int input = 0; input <= which; ++input) {
      for (int64_t one = 0; one < outside; ++one) given[input][one] = static_cast<const Bits*>(inputs[input])[places[one]];
      std::fill_n(given[input] + outside, kWidth, Bits{0});
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

}  // namespace actlab
