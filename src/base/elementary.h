// Elementary functions in double whose bits are the same on every machine: only additions, multiplications and explicit
// fused multiply-adds, never the C library's versions, which pick an implementation by processor. Accurate to about one
// unit in the last place over the ranges used here; for cold code (initial weights, schedules, rotation tables).
#pragma once

namespace sputnik {

double Exp(double x);            // overflows to +inf above 709.78, underflows to 0 below -745
double Log(double x);            // x > 0
double Pow(double x, double y);  // x > 0; within 2 + 2 |y log x| units: the logarithm's error is multiplied
double Sin(double x);            // |x| < 1e9
double Cos(double x);

}  // namespace sputnik
