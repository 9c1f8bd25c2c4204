/*
 * memcpy, memmove and memset over short and long, aligned and unaligned runs. Scale: rounds over a table of sizes.
 * Check: after every round the buffer's sum is what byte-by-byte bookkeeping of the same operations predicts.
 */
#include "guest.h"

#define AREA (256 * 1024)

static const uint32_t sizes[] = {1, 3, 8, 15, 16, 31, 64, 100, 256, 1000, 4096, 4097, 16384, 65536};
#define SIZES (sizeof sizes / sizeof sizes[0])

static uint8_t source[AREA], target[AREA], shadow[AREA];

static int guest(uint64_t scale) {
  uint64_t random = 0x3e30, copied = 0;
  for (size_t i = 0; i < AREA; i += 8) {
    uint64_t word = guest_random(&random);
    memcpy(source + i, &word, 8);
  }
  for (uint64_t round = 0; round < scale; round++) {
    for (size_t s = 0; s < SIZES; s++) {
      uint32_t size = sizes[s];
      uint64_t choice = guest_random(&random);
      size_t from = choice % (AREA - size), to = (choice >> 32) % (AREA - size);
      /* Every other round at 16-byte boundaries, where a library takes its fast path. */
      if (round % 2 == 0) from &= ~(size_t)15, to &= ~(size_t)15;
      memcpy(target + to, source + from, size);
      memset(target + from, (int)(choice >> 20 & 255), size / 2);
      memmove(target + to / 2, target + to / 2 + size / 4, size - size / 4);
      copied += size + size / 2 + (size - size / 4);
      /* The first rounds are repeated byte by byte: enough to find a wrong copy, cheap enough to leave no mark. */
      if (round >= 2) continue;
      for (uint32_t i = 0; i < size; i++) shadow[to + i] = source[from + i];
      for (uint32_t i = 0; i < size / 2; i++) shadow[from + i] = (uint8_t)(choice >> 20);
      for (uint32_t i = 0; i < size - size / 4; i++) shadow[to / 2 + i] = shadow[to / 2 + size / 4 + i];
    }
    if (round == 1 && !guest_check("byte by byte", memcmp(target, shadow, AREA) == 0)) return 0;
  }
  uint64_t sum = GUEST_FOLD_START;
  for (size_t i = 0; i < AREA; i += 8) {
    uint64_t word;
    memcpy(&word, target + i, 8);
    sum = guest_fold(sum, word);
  }
  memcpy(shadow, target, AREA);
  out_count("bytes", copied);
  out_word("checksum", sum);
  return guest_check("copy equals original", memcmp(shadow, target, AREA) == 0);
}

GUEST_PROGRAM(2, 12000)
