/*
 * Quicksort of 64-bit integers: Hoare's partition about the median of three, insertion sort for short runs.
 * Scale: thousands of numbers.
 * Check: in order, and the same numbers as before (count, sum and a sum of mixed values do not change).
 */
#include "guest.h"

#define SHORT_RUN 12

static void insertion_sort(int64_t *a, size_t n) {
  for (size_t i = 1; i < n; i++) {
    int64_t value = a[i];
    size_t at = i;
    for (; at > 0 && a[at - 1] > value; at--) a[at] = a[at - 1];
    a[at] = value;
  }
}

static int64_t median(int64_t a, int64_t b, int64_t c) {
  if (a < b) return b < c ? b : a < c ? c : a;
  return a < c ? a : b < c ? c : b;
}

static void quicksort(int64_t *a, size_t n) {
  while (n > SHORT_RUN) {
    int64_t pivot = median(a[0], a[n / 2], a[n - 1]);
    size_t i = 0, j = n - 1;
    for (;;) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i >= j) break;
      int64_t other = a[i];
      a[i++] = a[j];
      a[j--] = other;
    }
    /* Recursion into the shorter side keeps the stack logarithmic. */
    size_t left = j + 1;
    if (left < n - left) {
      quicksort(a, left);
      a += left, n -= left;
    } else {
      quicksort(a + left, n - left);
      n = left;
    }
  }
  insertion_sort(a, n);
}

typedef struct {
  uint64_t sum, mixed;
} Bag;

static Bag bag_of(const int64_t *a, size_t n) {
  Bag bag = {0, 0};
  for (size_t i = 0; i < n; i++) {
    bag.sum += (uint64_t)a[i];
    bag.mixed += guest_fold(GUEST_FOLD_START, (uint64_t)a[i]);
  }
  return bag;
}

static int guest(uint64_t scale) {
  size_t n = scale * 1000;
  int64_t *a = guest_alloc(n * sizeof *a);
  uint64_t random = 0x9507;
  /* One number in eight comes from a small range, so that equal keys occur. */
  for (size_t i = 0; i < n; i++) {
    uint64_t value = guest_random(&random);
    a[i] = value % 8 == 0 ? (int64_t)(value >> 58) : (int64_t)value;
  }
  Bag before = bag_of(a, n);
  quicksort(a, n);
  Bag after = bag_of(a, n);
  int ordered = 1;
  uint64_t sum = GUEST_FOLD_START;
  for (size_t i = 0; i < n; i++) {
    if (i > 0 && a[i - 1] > a[i]) ordered = 0;
    sum = guest_fold(sum, (uint64_t)a[i]);
  }
  out_count("numbers", n);
  out_word("checksum", sum);
  return guest_check("in order", ordered) &
         guest_check("same numbers", before.sum == after.sum && before.mixed == after.mixed);
}

GUEST_PROGRAM(6, 2500)
