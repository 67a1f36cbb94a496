// What kernels need beyond the compiler's vectors.
#if defined(__GNUC__)
#define ACTLAB_WHOLE __attribute__((flatten))  // a loop in which no step of several registers becomes a call
#else
#define ACTLAB_WHOLE
#endif

namespace actlab {

// The exponential function without a call, which would empty the registers at every step of a loop: within 0.7 ulp of float32 everywhere and
// within 1 ulp of float64, right at both ends and for NaN. The rough one, for results in half types, is right to 4e-6. Other processors take
// the library's.

template <typename Vector>
inline Vector exponential(const Vector& x) {
  return x.exp();
}

template <typename Vector>
inline Vector rough_exponential(const Vector& x) {
  return exponential(x);
}

// Stores a vector, with `past` so that it goes to memory without a place in the caches, where the processor would first read what it is to
// overwrite. The vector must begin at a multiple of its length then, as all of `begins` do if it is aligned. Of a vector that is filled in part
// that part is stored, in the usual way.
inline bool aligned(const void* begins) { return reinterpret_cast<uintptr_t>(begins) % 64 == 0; }

template <int lanes = 0, typename T>
inline void put(const at::vec::Vectorized<T>& x, T* to, [[maybe_unused]] bool past) {
  if constexpr (lanes != 0 && lanes != at::vec::Vectorized<T>::size()) {
    x.store(to, lanes);
    return;
  }
#if defined(CPU_CAPABILITY_AVX512)
  if (past) {
    if constexpr (std::is_same_v<T, float>) _mm512_stream_ps(to, x);
    else _mm512_stream_si512(reinterpret_cast<__m512i*>(to), x);
    return;
  }
#elif defined(CPU_CAPABILITY_AVX2)
  if (past) {
    if constexpr (std::is_same_v<T, float>) _mm256_stream_ps(to, x);
    else _mm256_stream_si256(reinterpret_cast<__m256i*>(to), x);
    return;
  }
#endif
  x.store(to);
}

// Comparisons of float32 and the choices they make, in the processor's mask registers where there are such. The compiler's masks are vectors of
// all ones and zeros, made from a register and turned back into one; on Intel's processors the first step waits for whatever was in the
// vector before, which chains one turn of a loop to the next: four times as slow for the sigmoid.
enum class Order { less, at_most, above, at_least, equal, unequal };

template <Order order, typename Vector>
inline auto compare(const Vector& a, const Vector& b) {
  constexpr int count = sizeof(Vector) / sizeof(at::vec::Vectorized<float>);
  if constexpr (order == Order::less) return at::vec::VecMask<float, count>(a < b);
  else if constexpr (order == Order::at_most) return at::vec::VecMask<float, count>(a <= b);
  else if constexpr (order == Order::above) return at::vec::VecMask<float, count>(a > b);
  else if constexpr (order == Order::at_least) return at::vec::VecMask<float, count>(a >= b);
  else if constexpr (order == Order::equal) return at::vec::VecMask<float, count>(a == b);
  else return at::vec::VecMask<float, count>(a != b);
}

template <typename Vector, typename Mask>
inline Vector chosen(const Vector& otherwise, const Vector& where, const Mask& mask) {
  constexpr int count = sizeof(Vector) / sizeof(at::vec::Vectorized<float>);
  return Vector::blendv(otherwise, where, mask.template cast<float, count>());
}

// The same bits as another type of 32 bits, which the compiler's own code takes through memory one by one.
template <typename To, typename From>
inline at::vec::Vectorized<To> bits_as(const at::vec::Vectorized<From>& given) {
  return at::vec::cast<To, From>(given);
}

template <typename To, typename From, int N>
inline at::vec::VectorizedN<To, N> bits_as(const at::vec::VectorizedN<From, N>& given) {
  at::vec::VectorizedN<To, N> result;
  for (int one = 0; one < N; ++one) result[one] = bits_as<To>(given[one]);
  return result;
}

#if defined(CPU_CAPABILITY_AVX512)
template <int N>
struct Mask {
  __mmask16 bits[N];

  Mask operator&(const Mask& other) const { return with(other, [](__mmask16 a, __mmask16 b) { return a & b; }); }
  Mask operator|(const Mask& other) const { return with(other, [](__mmask16 a, __mmask16 b) { return a | b; }); }
  Mask operator^(const Mask& other) const { return with(other, [](__mmask16 a, __mmask16 b) { return a ^ b; }); }
  Mask operator~() const { return with(*this, [](__mmask16 a, __mmask16) { return ~a; }); }
  at::vec::VecMask<float, N> vectors() const {
    at::vec::VectorizedN<float, N> result;
    for (int one = 0; one < N; ++one) result[one] = _mm512_castsi512_ps(_mm512_movm_epi32(bits[one]));
    if constexpr (N == 1) return at::vec::VecMask<float, 1>(result[0]);
    else return at::vec::VecMask<float, N>(result);
  }
  template <typename Type, int Count>
  auto cast() const { return vectors().template cast<Type, Count>(); }
  template <typename Type, int Count>
  auto to() const { return vectors().template to<Type, Count>(); }

 private:
  template <typename Step>
  Mask with(const Mask& other, Step step) const {
    Mask result;
    for (int one = 0; one < N; ++one) result.bits[one] = static_cast<__mmask16>(step(bits[one], other.bits[one]));
    return result;
  }
};

template <Order order>
inline __mmask16 ordered(const at::vec::Vectorized<float>& a, const at::vec::Vectorized<float>& b) {
  constexpr int kinds[] = {_CMP_LT_OQ, _CMP_LE_OQ, _CMP_GT_OQ, _CMP_GE_OQ, _CMP_EQ_OQ, _CMP_NEQ_UQ};
  return _mm512_cmp_ps_mask(a, b, kinds[static_cast<int>(order)]);
}

template <Order order>
inline Mask<1> compare(const at::vec::Vectorized<float>& a, const at::vec::Vectorized<float>& b) {
  return {{ordered<order>(a, b)}};
}

template <Order order, int N>
inline Mask<N> compare(const at::vec::VectorizedN<float, N>& a, const at::vec::VectorizedN<float, N>& b) {
  Mask<N> result;
  for (int one = 0; one < N; ++one) result.bits[one] = ordered<order>(a[one], b[one]);
  return result;
}

inline at::vec::Vectorized<float> chosen(
    const at::vec::Vectorized<float>& otherwise, const at::vec::Vectorized<float>& where, const Mask<1>& mask) {
  return _mm512_mask_blend_ps(mask.bits[0], otherwise, where);
}

template <int N>
inline at::vec::VectorizedN<float, N> chosen(
    const at::vec::VectorizedN<float, N>& otherwise, const at::vec::VectorizedN<float, N>& where, const Mask<N>& mask) {
  at::vec::VectorizedN<float, N> result;
  for (int one = 0; one < N; ++one) result[one] = _mm512_mask_blend_ps(mask.bits[one], otherwise[one], where[one]);
  return result;
}

template <>
inline at::vec::Vectorized<float> exponential(const at::vec::Vectorized<float>& given) {
  const auto constant = [](float value) { return _mm512_set1_ps(value); };
  const __m512 x = _mm512_min_ps(constant(89.0f), _mm512_max_ps(constant(-104.0f), given));  // beyond, infinity and 0; of NaN, NaN
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, constant(1.44269502f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_fnmadd_ps(n, constant(-0.00021219444f), _mm512_fnmadd_ps(n, constant(0.693359375f), x));  // x - n ln 2
  __m512 p = _mm512_fmadd_ps(constant(0.0013926184f), r, constant(0.00836317893f));  // exp(r) = 1 + r + r^2 p(r)
  p = _mm512_fmadd_ps(p, r, constant(0.0416665561f));
  p = _mm512_fmadd_ps(p, r, constant(0.166665763f));
  p = _mm512_fmadd_ps(p, r, constant(0.5f));
  p = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p, r);
  return _mm512_scalef_ps(_mm512_add_ps(p, constant(1.0f)), n);
}

template <>
inline at::vec::Vectorized<double> exponential(const at::vec::Vectorized<double>& given) {
  const auto constant = [](double value) { return _mm512_set1_pd(value); };
  const __m512d x = _mm512_min_pd(constant(710.0), _mm512_max_pd(constant(-746.0), given));
  const __m512d n = _mm512_roundscale_pd(_mm512_mul_pd(x, constant(1.4426950408889634)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512d r = _mm512_fnmadd_pd(n, constant(1.9082149292705877e-10), _mm512_fnmadd_pd(n, constant(0.6931471803691238), x));
  constexpr double coefficients[] = {
      0.5000000000000001, 0.16666666666666669, 0.04166666666662406, 0.008333333333330056, 0.001388888891724774,
      0.0001984126986307978, 2.480152124310193e-05, 2.7557268419352836e-06, 2.762011358004812e-07, 2.5100404824318008e-08};
  __m512d p = constant(coefficients[9]);
  for (int one = 8; one >= 0; --one) p = _mm512_fmadd_pd(p, r, constant(coefficients[one]));
  p = _mm512_fmadd_pd(_mm512_mul_pd(r, r), p, r);
  return _mm512_scalef_pd(_mm512_add_pd(p, constant(1.0)), n);
}

template <>
inline at::vec::Vectorized<float> rough_exponential(const at::vec::Vectorized<float>& given) {
  const auto constant = [](float value) { return _mm512_set1_ps(value); };
  const __m512 z = _mm512_mul_ps(given, constant(1.44269502f));
  const __m512 f = _mm512_reduce_ps(z, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // z less the whole number below; 0 of infinities
  __m512 p = _mm512_fmadd_ps(constant(0.00186713005f), f, constant(0.00901703071f));  // 2^f within 1.4e-7 of it
  p = _mm512_fmadd_ps(p, f, constant(0.0557999127f));
  p = _mm512_fmadd_ps(p, f, constant(0.240164444f));
  p = _mm512_fmadd_ps(p, f, constant(0.693151295f));
  return _mm512_scalef_ps(_mm512_fmadd_ps(p, f, constant(1.0f)), z);  // by that whole number
}

template <typename Number, int N>
inline at::vec::VectorizedN<Number, N> exponential(const at::vec::VectorizedN<Number, N>& x) {
  at::vec::VectorizedN<Number, N> result;
  for (int one = 0; one < N; ++one) result[one] = exponential(x[one]);
  return result;
}

template <typename Number, int N>
inline at::vec::VectorizedN<Number, N> rough_exponential(const at::vec::VectorizedN<Number, N>& x) {
  at::vec::VectorizedN<Number, N> result;
  for (int one = 0; one < N; ++one) result[one] = rough_exponential(x[one]);
  return result;
}
#endif

// A whole vector, on AMD's processors by halves; see _grouping.py.
inline at::vec::Vectorized<float> loaded(const float* from) {
#if defined(CPU_CAPABILITY_AVX512) && (defined(__znver3__) || defined(__znver4__) || defined(__znver5__))
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(from)), _mm256_loadu_ps(from + 8), 1);
#else
  return at::vec::Vectorized<float>::loadu(from);
#endif
}

// 1, -1, or 0 at 0 and NaN.
template <typename Vector>
inline Vector sign(const Vector& x) {
  if constexpr (std::is_same_v<typename Vector::value_type, float>) {
    const Vector zero(0.0f);
    const Vector right = chosen(zero, Vector(1.0f), compare<Order::above>(x, zero));
    return chosen(right, Vector(-1.0f), compare<Order::less>(x, zero));
  } else {
    const Vector zero(0), one(1);
    return Vector::blendv(zero, one, zero < x) - Vector::blendv(zero, one, x < zero);
  }
}

// bfloat16 to float32 and back, which is rounded to even. NaN stays one: arithmetic makes none, of numbers that came from bfloat16, whose last
// digits carry over into the sign.
#if defined(CPU_CAPABILITY_AVX512)
inline at::vec::VectorizedN<float, 2> widened(const at::vec::Vectorized<at::BFloat16>& x) {
  alignas(64) constexpr uint16_t kOrder[64] = {0,  0,  0,  1,  0,  2,  0,  3,  0,  4,  0,  5,  0,  6,  0,  7,  0,  8,  0,  9,  0,  10,
                                               0,  11, 0,  12, 0,  13, 0,  14, 0,  15, 0,  16, 0,  17, 0,  18, 0,  19, 0,  20, 0,  21,
                                               0,  22, 0,  23, 0,  24, 0,  25, 0,  26, 0,  27, 0,  28, 0,  29, 0,  30, 0,  31};
  at::vec::VectorizedN<float, 2> result;
  for (int half = 0; half < 2; ++half)
    result[half] = _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, _mm512_load_si512(kOrder + 32 * half), __m512i(x)));
  return result;
}

// The processor's own step, where it has one, takes the smallest numbers for 0: then `steps` are taken instead.
template <typename Steps>
inline at::vec::Vectorized<at::BFloat16> narrowed_by(const at::vec::VectorizedN<float, 2>& x, const Steps& steps) {
#if defined(__AVX512BF16__)
  constexpr int kDenormal = 0x20;
  if (!__builtin_expect(_mm512_fpclass_ps_mask(x[0], kDenormal) | _mm512_fpclass_ps_mask(x[1], kDenormal), 0))
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(x[1], x[0]));
#endif
  return steps(x);
}

inline at::vec::Vectorized<at::BFloat16> narrowed(const at::vec::VectorizedN<float, 2>& x) {
  return narrowed_by(x, [](const at::vec::VectorizedN<float, 2>& x) -> at::vec::Vectorized<at::BFloat16> {
    alignas(64) constexpr uint16_t kOrder[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                                                 33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    const auto rounded = [](const at::vec::Vectorized<float>& some) {
      const __m512i bits = _mm512_castps_si512(some), below = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff));
      return _mm512_mask_add_epi32(below, _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000)), bits, _mm512_set1_epi32(0x8000));
    };
    return _mm512_permutex2var_epi16(rounded(x[0]), _mm512_load_si512(kOrder), rounded(x[1]));
  });
}

inline at::vec::Vectorized<at::BFloat16> narrowed_any(const at::vec::VectorizedN<float, 2>& x) {  // whatever bits NaN has
  return narrowed_by(x, at::vec::convert<at::BFloat16, 1, float, 2>);
}

// What is not too small for the processor's own step if none of these inputs is below 2^-63; see _rounding.py.
template <typename... Inputs>
inline at::vec::Vectorized<at::BFloat16> narrowed_by_inputs(const at::vec::VectorizedN<float, 2>& x, [[maybe_unused]] const Inputs&... inputs) {
#if defined(__AVX512BF16__)
  [[maybe_unused]] const __m512i large = _mm512_set1_epi16(0x6000);  // exponents of 2^-63 and above have one of these bits
  if (!__builtin_expect((_mm512_testn_epi16_mask(inputs, large) | ... | 0u), 0)) return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(x[1], x[0]));
#endif
  return narrowed(x);
}
#else
inline at::vec::VectorizedN<float, 2> widened(const at::vec::Vectorized<at::BFloat16>& x) {
  return at::vec::convert<float, 2, at::BFloat16, 1>(x);
}

inline at::vec::Vectorized<at::BFloat16> narrowed(const at::vec::VectorizedN<float, 2>& x) {
  return at::vec::convert<at::BFloat16, 1, float, 2>(x);
}

inline at::vec::Vectorized<at::BFloat16> narrowed_any(const at::vec::VectorizedN<float, 2>& x) { return narrowed(x); }

template <typename... Inputs>
inline at::vec::Vectorized<at::BFloat16> narrowed_by_inputs(const at::vec::VectorizedN<float, 2>& x, const Inputs&...) {
  return narrowed(x);
}
#endif

// x 2^k for whole k, and within 0.53 ulp of float32 1/x, within 1 ulp 1/sqrt(x): the processor's first guess and one step of Newton's, where a
// division would take as long as a polynomial. At 0, infinity and NaN the guess is right and the step is none.
template <typename Vector>
inline Vector inverse(const Vector& x) {
  return x.reciprocal();
}

template <typename Vector>
inline Vector inverse_root(const Vector& x) {
  return x.rsqrt();
}

#if defined(CPU_CAPABILITY_AVX512)
inline at::vec::Vectorized<float> scaled(const at::vec::Vectorized<float>& x, const at::vec::Vectorized<float>& k) { return _mm512_scalef_ps(x, k); }

// `better`, but `guess` where that is 0 or infinite already.
inline __m512 refined(__m512 better, __m512 guess) {
  return _mm512_fixupimm_ps(better, guess, _mm512_set1_epi32(0x110100), 0);  // four bits for each kind of number: zeros, both infinities
}

template <>
inline at::vec::Vectorized<float> inverse(const at::vec::Vectorized<float>& x) {
  const __m512 guess = _mm512_rcp14_ps(x);
  const __m512 better = _mm512_fmadd_ps(_mm512_fnmadd_ps(x, guess, _mm512_set1_ps(1.0f)), guess, guess);
  return refined(better, guess);
}

template <>
inline at::vec::Vectorized<float> inverse_root(const at::vec::Vectorized<float>& x) {
  const __m512 guess = _mm512_rsqrt14_ps(x), half = _mm512_mul_ps(guess, _mm512_set1_ps(0.5f));
  const __m512 better = _mm512_fmadd_ps(_mm512_fnmadd_ps(_mm512_mul_ps(x, guess), guess, _mm512_set1_ps(1.0f)), half, guess);
  return refined(better, guess);
}

template <int N>
inline at::vec::VectorizedN<float, N> inverse(const at::vec::VectorizedN<float, N>& x) {
  at::vec::VectorizedN<float, N> result;
  for (int one = 0; one < N; ++one) result[one] = inverse(x[one]);
  return result;
}

template <int N>
inline at::vec::VectorizedN<float, N> inverse_root(const at::vec::VectorizedN<float, N>& x) {
  at::vec::VectorizedN<float, N> result;
  for (int one = 0; one < N; ++one) result[one] = inverse_root(x[one]);
  return result;
}
#else
inline at::vec::Vectorized<float> power_of_two(const at::vec::Vectorized<float>& k) {
  using Whole = at::vec::Vectorized<int32_t>;
  return bits_as<float>((at::vec::convert<int32_t>(k) + Whole(127)) << Whole(23));
}

inline at::vec::Vectorized<float> scaled(const at::vec::Vectorized<float>& x, const at::vec::Vectorized<float>& k) {
  using Vector = at::vec::Vectorized<float>;
  const Vector fourth = (k * Vector(0.25f)).floor(), step = power_of_two(fourth);  // 2^k itself may be no float32
  return x * step * step * step * power_of_two(k - Vector(3.0f) * fourth);
}
#endif

template <int N>
inline at::vec::VectorizedN<float, N> scaled(const at::vec::VectorizedN<float, N>& x, const at::vec::VectorizedN<float, N>& k) {
  at::vec::VectorizedN<float, N> result;
  for (int one = 0; one < N; ++one) result[one] = scaled(x[one], k[one]);
  return result;
}

// Between half types and float64 by way of float32: straight the library goes one by one.
template <typename Half>
inline at::vec::VectorizedN<double, 4> doubled(const at::vec::Vectorized<Half>& x) {
  const auto single = at::vec::convert<float, 2, Half, 1>(x);
  at::vec::VectorizedN<double, 4> result;
  for (int part = 0; part < 2; ++part) {
    const auto two = at::vec::convert<double, 2, float, 1>(single[part]);
    result[2 * part] = two[0], result[2 * part + 1] = two[1];
  }
  return result;
}

template <typename Half>
inline at::vec::Vectorized<Half> halved(const at::vec::VectorizedN<double, 4>& x) {
  at::vec::VectorizedN<float, 2> single;
  for (int part = 0; part < 2; ++part) {
    at::vec::VectorizedN<double, 2> two;
    two[0] = x[2 * part], two[1] = x[2 * part + 1];
    single[part] = at::vec::convert<float, 1, double, 2>(two);
  }
  return at::vec::convert<Half, 1, float, 2>(single);
}

// Sine and cosine within 1.2 ulp of float32 everywhere, again without a call, and within 1 ulp of float64. x is a multiple j of pi/2 and a rest
// r, found by parts of pi/2: with a fused multiply-add the first step is exact. Where j would be too long for that, one number after the other
// is taken from the C library, in float64. What both have in common the compiler computes once.
template <typename Number>
struct Wave;

template <>
struct Wave<float> {
  using Whole = int32_t;
  static constexpr float longest = 1e5f, far = 12582912.0f;  // 1.5 * 2^23: a sum with it ends in the digits of a whole number
  static constexpr float half_pi[] = {1.57079637f, -4.37113883e-08f, -1.71512451e-15f};
  static constexpr float sine[] = {-0.166666546f, 0.00833215958f, -0.000195151194f};  // (sin(r) - r) / r^3 by powers of r^2
  static constexpr float cosine[] = {-0.5f, 0.0416666456f, -0.00138873146f, 2.44329692e-05f};  // (cos(r) - 1) / r^2
};

template <>
struct Wave<double> {
  using Whole = int64_t;
  static constexpr double longest = 1e8, far = 6755399441055744.0;
  static constexpr double half_pi[] = {1.5707963267948966, 6.123233995736766e-17};
  static constexpr double sine[] = {
      -0.16666666666666666, 0.008333333333330946, -0.0001984126983675497, 2.755731610068312e-06, -2.5051131455447428e-08, 1.591810123167728e-10};
  static constexpr double cosine[] = {
      -0.5, 0.041666666666666664, -0.0013888888888887395, 2.4801587298763433e-05, -2.7557317270560385e-07, 2.087614602470193e-09, -1.1382614869434128e-11};
};

template <typename Number, int N>
inline at::vec::Vectorized<Number> series(const at::vec::Vectorized<Number>& x, const Number (&coefficients)[N]) {
  at::vec::Vectorized<Number> result(coefficients[N - 1]);
  for (int one = N - 2; one >= 0; --one) result = at::vec::fmadd(result, x, at::vec::Vectorized<Number>(coefficients[one]));
  return result;
}

template <typename Number>
inline bool any_longer(const at::vec::Vectorized<Number>& size) {
#if defined(CPU_CAPABILITY_AVX512)
  if constexpr (sizeof(Number) == 4) return _mm512_cmp_ps_mask(size, _mm512_set1_ps(Wave<Number>::longest), _CMP_NLE_UQ);
  else return _mm512_cmp_pd_mask(size, _mm512_set1_pd(Wave<Number>::longest), _CMP_NLE_UQ);
#else
  return (size <= at::vec::Vectorized<Number>(Wave<Number>::longest)).zero_mask();
#endif
}

template <typename Number>
inline at::vec::Vectorized<Number> where_odd(
    const at::vec::Vectorized<typename Wave<Number>::Whole>& number, const at::vec::Vectorized<Number>& odd, const at::vec::Vectorized<Number>& even) {
#if defined(CPU_CAPABILITY_AVX512)
  if constexpr (sizeof(Number) == 4) return _mm512_mask_blend_ps(_mm512_test_epi32_mask(number, _mm512_set1_epi32(1)), even, odd);
  else return _mm512_mask_blend_pd(_mm512_test_epi64_mask(number, _mm512_set1_epi64(1)), even, odd);
#else
  const at::vec::Vectorized<typename Wave<Number>::Whole> one(1);
  return at::vec::Vectorized<Number>::blendv(even, odd, at::vec::cast<Number>((number & one) == one));
#endif
}

template <bool cosine, typename Number>
[[gnu::noinline, gnu::cold]] at::vec::Vectorized<Number> long_waves(const at::vec::Vectorized<Number>& x, const at::vec::Vectorized<Number>& found) {
  __at_align__ Number from[at::vec::Vectorized<Number>::size()], to[at::vec::Vectorized<Number>::size()];
  x.store(from);
  found.store(to);
  for (int one = 0; one < at::vec::Vectorized<Number>::size(); ++one) {
    const double given = from[one];
    if (!(std::abs(given) <= Wave<Number>::longest)) to[one] = static_cast<Number>(cosine ? std::cos(given) : std::sin(given));
  }
  return at::vec::Vectorized<Number>::loadu(to);
}

template <bool cosine, typename Number>
inline at::vec::Vectorized<Number> wave(const at::vec::Vectorized<Number>& x) {
  using Vector = at::vec::Vectorized<Number>;
  using Whole = typename Wave<Number>::Whole;
  using Known = Wave<Number>;
  const auto constant = [](Number value) { return Vector(value); };
  const Vector size = x.abs();
  const Vector shifted = at::vec::fmadd(size, constant(0.6366197723675814), constant(Known::far)), j = shifted - constant(Known::far);
  Vector r = at::vec::fmadd(j, constant(-Known::half_pi[0]), size), lost(0);
  if constexpr (sizeof(Number) == 8) {
    r = at::vec::fmadd(j, constant(-Known::half_pi[1]), r);
  } else {
    const Vector first = r, second = j * constant(-Known::half_pi[1]);
    r = first + second;
    lost = at::vec::fmadd(j, constant(-Known::half_pi[2]), at::vec::fmsub(j, constant(-Known::half_pi[1]), second)) + ((first - r) + second);
  }
  const Vector square = r * r;
  const Vector of_even = r + at::vec::fmadd(r * square, series(square, Known::sine), lost);
  const Vector of_odd = at::vec::fmadd(square, series(square, Known::cosine), constant(1));
  const auto number = at::vec::cast<Whole>(shifted);
  const auto half_turns = cosine ? number + at::vec::Vectorized<Whole>(1) : number;
  const auto sign = (half_turns & at::vec::Vectorized<Whole>(2)) << at::vec::Vectorized<Whole>(8 * sizeof(Number) - 2);
  Vector y = (cosine ? where_odd(number, of_even, of_odd) : where_odd(number, of_odd, of_even)) ^ at::vec::cast<Number>(sign);
  if constexpr (!cosine) y = y ^ (x & constant(-0.0));
  return __builtin_expect(any_longer(size), false) ? long_waves<cosine>(x, y) : y;
}

// The same for results in half types, right to some 2e-7 but beside zeros far out: by one polynomial and whole multiples of pi, for the cosine
// halves of odd ones. Within 0.5001 ulp at every number of float16 and bfloat16.
template <bool cosine>
inline at::vec::Vectorized<float> rough_wave(const at::vec::Vectorized<float>& x) {
  using Vector = at::vec::Vectorized<float>;
  using Whole = at::vec::Vectorized<int32_t>;
  constexpr float known[] = {-0.166666595f, 0.00833306608f, -0.000198095901f, 2.60575066e-06f};  // (sin(r) / r - 1) / r^2 by powers of r^2
  const Vector turns(0.318309886f), far(Wave<float>::far + cosine);  // an odd one to begin with where minus a sine is wanted
  const Vector shifted = cosine ? at::vec::fmadd(x, turns, Vector(-0.5f)) + far : at::vec::fmadd(x, turns, far);
  const Vector whole = shifted - far, j = cosine ? whole + Vector(0.5f) : whole;
  const Vector r = at::vec::fmadd(j, Vector(8.74227766e-08f), at::vec::fmadd(j, Vector(-3.14159274f), x));
  const Vector square = r * r;
  const Vector y = r * at::vec::fmadd(square, series(square, known), Vector(1.0f));
  const Vector found = y ^ at::vec::cast<float>(at::vec::cast<int32_t>(shifted) << Whole(31));
  return __builtin_expect(any_longer(x.abs()), false) ? long_waves<cosine>(x, found) : found;
}

template <bool cosine, bool rough = false, typename Number>
inline at::vec::Vectorized<Number> either_wave(const at::vec::Vectorized<Number>& x) {
  if constexpr (rough && sizeof(Number) == 4) return rough_wave<cosine>(x);
  else return wave<cosine>(x);
}

template <bool cosine, bool rough = false, typename Number, int N>
inline at::vec::VectorizedN<Number, N> either_wave(const at::vec::VectorizedN<Number, N>& x) {
  at::vec::VectorizedN<Number, N> result;
  for (int one = 0; one < N; ++one) result[one] = either_wave<cosine, rough>(x[one]);
  return result;
}

template <typename Vector>
inline Vector sine(const Vector& x) {
  return either_wave<false>(x);
}

template <typename Vector>
inline Vector cosine(const Vector& x) {
  return either_wave<true>(x);
}

template <typename Vector>
inline Vector rough_sine(const Vector& x) {
  return either_wave<false, true>(x);
}

template <typename Vector>
inline Vector rough_cosine(const Vector& x) {
  return either_wave<true, true>(x);
}

}  // namespace actlab
