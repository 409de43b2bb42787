#include "base/elementary.h"

#include <cmath>
#include <limits>

namespace sputnik {
namespace {

constexpr double kLn2High = 0x1.62e42fefa39efp-1;
constexpr double kLn2Low = 0x1.abc9e3b39803fp-56;
constexpr double kHalfPiHigh = 0x1.921fb54442d18p+0;
constexpr double kHalfPiLow = 0x1.1a62633145c07p-54;

// Horner's rule over the Taylor series sum of (-1)^i r^(2i) / (2i + first)!, divided by its leading factorial.
double AlternatingSeries(double r2, double first, int terms) {
  double sum = 1.0;
  for (int i = terms; i > 0; --i) {
    const double a = 2 * i + first;
    sum = std::fma(-r2 / (a * (a - 1)), sum, 1.0);
  }
  return sum;
}

double SinReduced(double r) { return r * AlternatingSeries(r * r, 1, 10); }
double CosReduced(double r) { return AlternatingSeries(r * r, 0, 10); }

// Reduces x to r in [-pi/4, pi/4] and returns the quadrant modulo 4.
int Reduce(double x, double* r) {
  const double n = std::nearbyint(x / kHalfPiHigh);
  *r = std::fma(-n, kHalfPiLow, std::fma(-n, kHalfPiHigh, x));
  return static_cast<int>(static_cast<long long>(n) & 3);
}

}  // namespace

double Exp(double x) {
  if (x != x) return x;
  if (x > 709.782712893384) return std::numeric_limits<double>::infinity();
  if (x < -745.2) return 0.0;
  const double n = std::nearbyint(x / kLn2High);
  const double r = std::fma(-n, kLn2Low, std::fma(-n, kLn2High, x));
  double sum = 1.0;
  for (int i = 14; i > 0; --i) sum = std::fma(r / i, sum, 1.0);
  return std::ldexp(sum, static_cast<int>(n));
}

double Log(double x) {
  if (!(x > 0)) return x == 0 ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  if (std::isinf(x)) return x;
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < 0x1.6a09e667f3bcdp-1) {
    m *= 2;
    --exponent;
  }
  // With f = m - 1, which is exact, and s = f / (2 + f): log m = 2 artanh s = f - s (f - tail), and s f = f²/2 - s
  // f²/2. Written so that f, the largest term, is added last and unrounded (as in Sun's fdlibm).
  const double f = m - 1, s = f / (2 + f), s2 = s * s;
  double sum = 0.0;
  for (int i = 25; i >= 3; i -= 2) sum = std::fma(sum, s2, 1.0 / i);
  const double tail = 2 * s2 * sum, half_square = 0.5 * f * f;
  const double low = std::fma(s, half_square + tail, exponent * kLn2Low);
  return std::fma(exponent, kLn2High, f - (half_square - low));
}

double Pow(double x, double y) { return Exp(y * Log(x)); }

double Sin(double x) {
  double r = 0;
  switch (Reduce(x, &r)) {
    case 0: return SinReduced(r);
    case 1: return CosReduced(r);
    case 2: return -SinReduced(r);
    default: return -CosReduced(r);
  }
}

double Cos(double x) {
  double r = 0;
  switch (Reduce(x, &r)) {
    case 0: return CosReduced(r);
    case 1: return -SinReduced(r);
    case 2: return -CosReduced(r);
    default: return SinReduced(r);
  }
}

}  // namespace sputnik
