/*
 * CRC-32 with the reversed polynomial 0xedb88320 (ISO/IEC 3309), by one table and by eight tables at a time.
 * Scale: KiB of pseudo-random message.
 * Check: the value of "123456789", agreement of the two ways, and the residue property: a message followed by its
 * CRC gives 0x2144df1c.
 */
#include "guest.h"

static uint32_t tables[8][256];

static void make_tables(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    tables[0][byte] = crc;
  }
  for (int t = 1; t < 8; t++) {
    for (int byte = 0; byte < 256; byte++) {
      uint32_t crc = tables[t - 1][byte];
      tables[t][byte] = crc >> 8 ^ tables[0][crc & 255];
    }
  }
}

static uint32_t crc_by_bytes(uint32_t crc, const uint8_t *bytes, size_t n) {
  crc = ~crc;
  for (size_t i = 0; i < n; i++) crc = crc >> 8 ^ tables[0][(crc ^ bytes[i]) & 255];
  return ~crc;
}

static uint32_t crc_by_eights(uint32_t crc, const uint8_t *bytes, size_t n) {
  crc = ~crc;
  for (; n >= 8; n -= 8, bytes += 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    word ^= crc;
    crc = 0;
    for (int i = 0; i < 8; i++) crc ^= tables[7 - i][word >> (8 * i) & 255];
  }
  return crc_by_bytes(~crc, bytes, n);
}

static int guest(uint64_t scale) {
  make_tables();
  size_t size = scale * 1024;
  uint8_t *message = guest_alloc(size + 4);
  uint64_t random = 0xc4c32;
  for (size_t i = 0; i < size; i += 8) {
    uint64_t word = guest_random(&random);
    memcpy(message + i, &word, 8);
  }
  uint32_t bytewise = crc_by_bytes(0, message, size);
  uint32_t sliced = crc_by_eights(0, message, size);
  out_word("crc32", bytewise);
  for (int i = 0; i < 4; i++) message[size + (size_t)i] = (uint8_t)(bytewise >> (8 * i));
  int known = crc_by_bytes(0, (const uint8_t *)"123456789", 9) == 0xcbf43926;
  int residue = crc_by_eights(0, message, size + 4) == 0x2144df1c;
  return guest_check("check value", known) & guest_check("both ways agree", bytewise == sliced) &
         guest_check("residue", residue);
}

GUEST_PROGRAM(24, 28672)
