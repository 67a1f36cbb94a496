// What kernels need beyond the compiler's vectors.
//
// The exponential function without a call, which would empty the registers at every step of a loop: within 0.7 ulp everywhere, right at
// both ends and for NaN. Other processors take the library's.
namespace actlab {

template <typename Vector>
inline Vector exponential(const Vector& x) {
  return x.exp();
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

template <int N>
inline at::vec::VectorizedN<float, N> exponential(const at::vec::VectorizedN<float, N>& x) {
  at::vec::VectorizedN<float, N> result;
  for (int one = 0; one < N; ++one) result[one] = exponential(x[one]);
  return result;
}
#endif

}  // namespace actlab
