namespace actlab {

// How far it is from one whole number to the next: 1 in scale x; `exact` in x, which loses no digit where whole numbers of it are taken off; and
// where it is a power of two, sums are all it takes.
enum class Steps { scaled, exact, binary };

// Pieces of polynomials; see activations/_pieces.py. With `two` sides the sign of `side` decides between the scales, between the last numbers
// before they are constant, and between the intervals before number `left` and those from it on. `direct` ones are of x itself, not of
// what it is from the middle of its interval.
template <int N, bool careful, bool shifted, bool up, Steps steps, bool direct>
struct Pieces {
  float scale, left_scale, step, left_step, last, left_last;
  int left;
  float coefficients[N][32], low[careful ? 32 : 1], shifts[shifted ? 32 : 1];
};

// All of a polynomial; its first coefficient and all but that; its first two terms, rounded, and all but that; all of another one.
enum class Part { whole, first, rest, line, bend, other };

template <Part part, typename Vector, int N, bool careful, bool shifted, bool up, Steps steps, bool direct, typename Found, typename Fma>
inline Vector piece(const Pieces<N, careful, shifted, up, steps, direct>& table, Vector rest, Found found, Fma fma) {
  if constexpr (part == Part::first) return found(table.coefficients[0]);
  if constexpr (shifted) rest = rest - found(table.shifts);
  if constexpr (part == Part::line) return fma(rest, found(table.coefficients[1]), found(table.coefficients[0]));
  Vector result = found(table.coefficients[N - 1]);
  for (int power = N - 2; power > (part == Part::bend); --power) result = fma(result, rest, found(table.coefficients[power]));
  if constexpr (part == Part::bend) {
    const Vector second = found(table.coefficients[1]), first = found(table.coefficients[0]), line = fma(rest, second, first);
    return fma(rest * rest, result, fma(rest, second, first - line) + found(table.low));
  }
  if constexpr (part == Part::rest) return fma(result, rest, found(table.low));
  else return fma(result, rest, found(table.coefficients[0]));
}

template <Part part, bool two, int N, bool careful, bool shifted, bool up, Steps steps, bool direct>
inline float pieces(const Pieces<N, careful, shifted, up, steps, direct>& table, float x, float side) {
  const bool on_left = two && std::signbit(side);
  const float last = on_left ? table.left_last : table.last, scale = on_left ? table.left_scale : table.scale;
  const float within = x > last ? last : x, product = within * scale;
  const int whole = std::abs(product) < 0x1p24f ? static_cast<int>(up ? std::ceil(product) : std::nearbyint(product)) : 0;  // of NaN too
  const int place = (whole + (on_left ? table.left : 0)) & 31;
  const float number = static_cast<float>(whole), step = on_left ? table.left_step : table.step;
  float rest = within;
  if constexpr (!direct) rest = steps == Steps::scaled ? std::fma(within, scale, -number) : std::fma(-step, number, scale < 0 ? -within : within);
  return piece<part>(
      table, rest, [place](const float* row) { return row[place]; },
      [](float a, float b, float c) { return std::fma(a, b, c); });
}

template <Part part, bool two, int N, bool careful, bool shifted, bool up, Steps steps, bool direct>
inline at::vec::Vectorized<float> pieces(
    const Pieces<N, careful, shifted, up, steps, direct>& table, const at::vec::Vectorized<float>& x, const at::vec::Vectorized<float>& side) {
#if defined(CPU_CAPABILITY_AVX512)
  const __mmask16 on_left = two ? _mm512_movepi32_mask(_mm512_castps_si512(side)) : 0;
  const auto of_side = [on_left](float right, float left) {
    const __m512 same = _mm512_set1_ps(right);
    return two && left != right ? _mm512_mask_blend_ps(on_left, same, _mm512_set1_ps(left)) : same;
  };
  __m512 within = x;
  if (table.last < std::numeric_limits<float>::max()) within = _mm512_min_ps(of_side(table.last, table.left_last), x);
  constexpr int rounding = (up ? _MM_FROUND_TO_POS_INF : _MM_FROUND_TO_NEAREST_INT) | _MM_FROUND_NO_EXC;
  __m512i whole;  // in the last digits, if not alone
  __m512 rest;
  if constexpr (steps == Steps::binary) {
    const __m512 shift = of_side(0x1.8p23f / std::abs(table.scale), 0x1.8p23f / std::abs(table.left_scale));
    const bool mirrored = table.scale < 0;
    const __m512 sum = mirrored ? _mm512_sub_round_ps(shift, within, rounding) : _mm512_add_round_ps(within, shift, rounding);
    rest = mirrored ? _mm512_sub_ps(_mm512_sub_ps(shift, sum), within) : _mm512_sub_ps(within, _mm512_sub_ps(sum, shift));
    whole = _mm512_castps_si512(sum);
  } else {
    const __m512 scale = of_side(table.scale, table.left_scale);
    __m512 number;
    if constexpr (N <= 5 || steps == Steps::exact || direct) {  // one step less, of the kind that polynomials are made of
      const __m512 shift = _mm512_set1_ps(0x1.8p23f), sum = _mm512_fmadd_round_ps(within, scale, shift, rounding);
      whole = _mm512_castps_si512(sum), number = _mm512_sub_ps(sum, shift);
    } else {
      whole = _mm512_cvt_roundps_epi32(_mm512_mul_ps(within, scale), rounding), number = _mm512_cvtepi32_ps(whole);
    }
    const __m512 step = of_side(table.step, table.left_step);
    if constexpr (steps == Steps::scaled) rest = _mm512_fmsub_ps(within, scale, number);
    else rest = table.scale < 0 ? _mm512_fnmsub_ps(number, step, within) : _mm512_fnmadd_ps(number, step, within);
  }
  if constexpr (direct) rest = within;
  const __m512i place = two ? _mm512_mask_add_epi32(whole, on_left, whole, _mm512_set1_epi32(table.left)) : whole;
  return piece<part>(
      table, rest, [place](const float* row) { return _mm512_permutex2var_ps(_mm512_loadu_ps(row), place, _mm512_loadu_ps(row + 16)); },
      [](__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); });
#elif defined(CPU_CAPABILITY_AVX2)
  const auto of_side = [&side](float right, float left) {
    return two ? _mm256_blendv_ps(_mm256_set1_ps(right), _mm256_set1_ps(left), side) : _mm256_set1_ps(right);
  };
  const __m256 within = _mm256_min_ps(of_side(table.last, table.left_last), x), scale = of_side(table.scale, table.left_scale);
  const __m256 product = _mm256_mul_ps(within, scale);
  const __m256i whole = _mm256_cvtps_epi32(up ? _mm256_ceil_ps(product) : product);
  const __m256 number = _mm256_cvtepi32_ps(whole), step = of_side(table.step, table.left_step);
  __m256 rest;
  if constexpr (direct) rest = within;
  else if constexpr (steps == Steps::scaled) rest = _mm256_fmsub_ps(within, scale, number);
  else rest = table.scale < 0 ? _mm256_fnmsub_ps(number, step, within) : _mm256_fnmadd_ps(number, step, within);
  __m256i place = whole;
  if constexpr (two) place = _mm256_add_epi32(place, _mm256_and_si256(_mm256_srai_epi32(_mm256_castps_si256(side), 31), _mm256_set1_epi32(table.left)));
  place = _mm256_and_si256(place, _mm256_set1_epi32(31));  // of NaN too
  return piece<part>(
      table, rest, [place](const float* row) { return _mm256_i32gather_ps(row, place, 4); },
      [](__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); });
#else
  constexpr int size = at::vec::Vectorized<float>::size();
  __at_align__ float given[size], sign[size];
  x.store(given);
  side.store(sign);
  for (int one = 0; one < size; ++one) given[one] = pieces<part, two>(table, given[one], sign[one]);
  return at::vec::Vectorized<float>::loadu(given);
#endif
}

template <Part part, bool two, int N, bool careful, bool shifted, bool up, Steps steps, bool direct, int Count>
inline at::vec::VectorizedN<float, Count> pieces(
    const Pieces<N, careful, shifted, up, steps, direct>& table, const at::vec::VectorizedN<float, Count>& x, const at::vec::VectorizedN<float, Count>& side) {
  at::vec::VectorizedN<float, Count> result;
  for (int one = 0; one < Count; ++one) result[one] = pieces<part, two>(table, x[one], side[one]);
  return result;
}

// Pieces of polynomials of the size of a product; see _products.py.
template <int N, int M>
struct OfProduct {
  float scale, coefficients[N][16], more[M + !M][16], centres[16];
};

template <Part part, int N, int M, typename Vector, typename Found, typename Fma>
inline Vector of_rest(const OfProduct<N, M>& table, Vector rest, Found found, Fma fma) {
  constexpr bool other = part == Part::other;
  const auto& rows = [&]() -> const auto& { if constexpr (other) return table.more; else return table.coefficients; }();
  Vector result = found(rows[(other ? M : N) - 1]);
  for (int power = (other ? M : N) - 2; power >= 0; --power) result = fma(result, rest, found(rows[power]));
  return result;
}

template <Part part, bool, int N, int M>
inline float pieces(const OfProduct<N, M>& table, float x, float b) {
  const int place = c10::bit_cast<int>(std::fma(std::abs(x), std::abs(b) * table.scale, 0x1.8p23f)) & 15;  // the last digits
  const auto found = [place](const float* row) { return row[place]; };
  const float rest = std::fma(std::abs(x), std::abs(b), -found(table.centres));
  return of_rest<part>(table, rest, found, [](float a, float b, float c) { return std::fma(a, b, c); });
}

template <Part part, bool two, int N, int M>
inline at::vec::Vectorized<float> pieces(const OfProduct<N, M>& table, const at::vec::Vectorized<float>& x, const at::vec::Vectorized<float>& b) {
#if defined(CPU_CAPABILITY_AVX512)
  const __m512 size = _mm512_abs_ps(x), factor = _mm512_abs_ps(b);
  const __m512 sum = _mm512_fmadd_ps(size, _mm512_mul_ps(factor, _mm512_set1_ps(table.scale)), _mm512_set1_ps(0x1.8p23f));
  const __m512i place = _mm512_castps_si512(sum);  // in the last digits
  const auto found = [place](const float* row) { return _mm512_permutexvar_ps(place, _mm512_loadu_ps(row)); };
  const __m512 rest = _mm512_fmsub_ps(size, factor, found(table.centres));
  return of_rest<part>(table, rest, found, [](__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); });
#else
  constexpr int size = at::vec::Vectorized<float>::size();
  __at_align__ float given[size], other[size];
  x.store(given);
  b.store(other);
  for (int one = 0; one < size; ++one) given[one] = pieces<part, two>(table, given[one], other[one]);
  return at::vec::Vectorized<float>::loadu(given);
#endif
}

}  // namespace actlab
