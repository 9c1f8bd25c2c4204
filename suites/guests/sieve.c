/*
 * Sieve of Eratosthenes over a bit per odd number. Scale: the limit in units of 10,000.
 * Check: the number of primes below the limit, counted a second way that marks nothing (Legendre's recurrence over
 * the values of floor(n / k), as improved by Lucy_Hedgehog).
 */
#include "guest.h"

static uint64_t count_by_sieve(uint64_t limit, uint64_t *last) {
  size_t words = limit / 128 + 1;
  uint64_t *composite = guest_alloc(words * sizeof *composite);
  memset(composite, 0, words * sizeof *composite);
  for (uint64_t p = 3; p * p <= limit; p += 2) {
    if (composite[p >> 7] >> (p >> 1 & 63) & 1) continue;
    for (uint64_t m = p * p >> 1; m <= (limit - 1) >> 1; m += p) composite[m >> 6] |= UINT64_C(1) << (m & 63);
  }
  uint64_t count = 1; /* the prime 2, which has no bit */
  for (uint64_t n = 3; n <= limit; n += 2) {
    if (composite[n >> 7] >> (n >> 1 & 63) & 1) continue;
    count++;
    *last = n;
  }
  return count;
}

static uint64_t count_by_legendre(uint64_t limit) {
  uint64_t root = 1;
  while ((root + 1) * (root + 1) <= limit) root++;
  /* small[v] = how many of 2..v are left; large[k] = how many of 2..limit/k are left. */
  uint64_t *small = guest_alloc((root + 1) * sizeof *small);
  uint64_t *large = guest_alloc((root + 1) * sizeof *large);
  for (uint64_t i = 1; i <= root; i++) {
    small[i] = i - 1;
    large[i] = limit / i - 1;
  }
  for (uint64_t p = 2; p * p <= limit; p++) {
    if (small[p] == small[p - 1]) continue;
    uint64_t below = small[p - 1];
    for (uint64_t k = 1; k <= root && p * p <= limit / k; k++) {
      uint64_t rest = k * p <= root ? large[k * p] : small[limit / (k * p)];
      large[k] -= rest - below;
    }
    for (uint64_t v = root; v >= p * p; v--) small[v] -= small[v / p] - below;
  }
  return large[1];
}

static int guest(uint64_t scale) {
  uint64_t limit = scale * 10000;
  uint64_t last = 0;
  uint64_t count = count_by_sieve(limit, &last);
  out_count("limit", limit);
  out_count("primes", count);
  out_count("last", last);
  return guest_check("Legendre count agrees", count == count_by_legendre(limit));
}

GUEST_PROGRAM(8, 10000)
