// Uniform numbers that depend on a seed and the place alone: as activations/_drawing.py makes them, to the last bit.
#include <cstring>

namespace actlab {

// Where a loop begins: its first element, a multiple of 64 of them after the first of the tensor.
struct Draw {
  uint64_t seed;
  int64_t first;
};

constexpr uint64_t kOdd = 0x9e3779b97f4a7c15u, kFirstMix = 0xbf58476d1ce4e5b9u, kSecondMix = 0x94d049bb133111ebu;

// SplitMix64's for four elements, of 16 bits each.
inline uint64_t four(uint64_t seed, int64_t group) {
  uint64_t z = seed + uint64_t(group + 1) * kOdd;
  z = (z ^ (z >> 30)) * kFirstMix;
  z = (z ^ (z >> 27)) * kSecondMix;
  return z ^ (z >> 31);
}

#if defined(CPU_CAPABILITY_AVX512)
// The same for eight groups.
inline __m512i fours(uint64_t seed, int64_t group) {
  const __m512i each = _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(kOdd));
  __m512i z = _mm512_add_epi64(each, _mm512_set1_epi64(seed + uint64_t(group + 1) * kOdd));
  z = _mm512_mullo_epi64(_mm512_xor_si512(z, _mm512_srli_epi64(z, 30)), _mm512_set1_epi64(kFirstMix));
  z = _mm512_mullo_epi64(_mm512_xor_si512(z, _mm512_srli_epi64(z, 27)), _mm512_set1_epi64(kSecondMix));
  return _mm512_xor_si512(z, _mm512_srli_epi64(z, 31));
}
inline __m512 middle_of_step(__m256i drawn) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(drawn)), _mm512_set1_ps(0x1p-16f), _mm512_set1_ps(0x1p-17f));
}
#endif

template <typename Vector>
struct Noise;

template <>
struct Noise<at::vec::Vectorized<float>> {
  static at::vec::Vectorized<float> at(const Draw& draw, int64_t place) {
    constexpr int lanes = at::vec::Vectorized<float>::size();
    const int64_t group = (draw.first + place) / 4;
#if defined(CPU_CAPABILITY_AVX512)
    return middle_of_step(_mm512_castsi512_si256(fours(draw.seed, group)));
#else
    uint64_t drawn[lanes / 4];
    for (int one = 0; one < lanes / 4; ++one) drawn[one] = four(draw.seed, group + one);
    uint16_t parts[lanes];
    std::memcpy(parts, drawn, sizeof drawn);
    float numbers[lanes];
    for (int one = 0; one < lanes; ++one) numbers[one] = (float(parts[one]) + 0.5f) * 0x1p-16f;
    return at::vec::Vectorized<float>::loadu(numbers);
#endif
  }
};

template <int N>
struct Noise<at::vec::VectorizedN<float, N>> {
  static at::vec::VectorizedN<float, N> at(const Draw& draw, int64_t place) {
    at::vec::VectorizedN<float, N> result;
#if defined(CPU_CAPABILITY_AVX512)
    if constexpr (N == 2) {
      const __m512i drawn = fours(draw.seed, (draw.first + place) / 4);
      result[0] = middle_of_step(_mm512_castsi512_si256(drawn));
      result[1] = middle_of_step(_mm512_extracti64x4_epi64(drawn, 1));
      return result;
    }
#endif
    using One = at::vec::Vectorized<float>;
    for (int one = 0; one < N; ++one) result[one] = Noise<One>::at(draw, place + one * One::size());
    return result;
  }
};

// In place of numbers in memory.
template <typename Vector>
Vector noise(const void* draw, int64_t place) { return Noise<Vector>::at(*static_cast<const Draw*>(draw), place); }

}  // namespace actlab
