// Answers floating-point questions with the machine's own instructions, so that the BigInt reference can be compared with RISC-V,
// AArch64 and x86-64. float-oracle.test.ts compiles this file for each machine that it can run.
//
// Input, a line: name rounding a b c, e.g. "add.d 3 3ff0000000000000 1 0"; rounding is numbered as in frm, operands are hexadecimal.
// Output, a line: bits flags, both hexadecimal, flags as in fflags; or "unsupported" when the machine has no such instruction or mode.
//
// Inline assembly rather than C operators: a compiler may exchange the operands of an addition, which decides whose NaN survives.

#include <fenv.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t Operation(uint64_t a, uint64_t b, uint64_t c);

static int roundingMode;
static int unsupported;

// Bits to value and back without a conversion.
#define REINTERPRET(suffix, type, integer)                       \
  static type from_##suffix(uint64_t bits) {                     \
    integer low = (integer)bits;                                 \
    type value;                                                  \
    memcpy(&value, &low, sizeof value);                          \
    return value;                                                \
  }                                                              \
  static uint64_t bits_##suffix(type value) {                    \
    integer low;                                                 \
    memcpy(&low, &value, sizeof low);                            \
    return low;                                                  \
  }
REINTERPRET(s, float, uint32_t)
REINTERPRET(d, double, uint64_t)

#define OPERATION(function) static uint64_t function(uint64_t a, uint64_t b, uint64_t c)
#define UNUSED (void)a, (void)b, (void)c
#define TYPE_s float
#define TYPE_d double

#if defined(__riscv)
#define FLOAT "f"
#define TWO(function, suffix, insn) ASM2(function, suffix, insn "." #suffix " %0, %1, %2", "f"(x), "f"(y))
#define ONE(function, suffix, insn) ASM1(function, suffix, insn "." #suffix " %0, %1", "f"(x))
#define THREE(function, suffix, insn) ASM3(function, suffix, insn "." #suffix " %0, %1, %2, %3", "f"(x), "f"(y), "f"(z))
#elif defined(__aarch64__)
#define FLOAT "w"
#define REG(suffix, n) "%" #suffix #n
#define TWO(function, suffix, insn) \
  ASM2(function, suffix, insn " " REG(suffix, 0) ", " REG(suffix, 1) ", " REG(suffix, 2), "w"(x), "w"(y))
#define ONE(function, suffix, insn) ASM1(function, suffix, insn " " REG(suffix, 0) ", " REG(suffix, 1), "w"(x))
#define THREE(function, suffix, insn)                                                                         \
  ASM3(function, suffix, insn " " REG(suffix, 0) ", " REG(suffix, 1) ", " REG(suffix, 2) ", " REG(suffix, 3), \
       "w"(x), "w"(y), "w"(z))
#elif defined(__x86_64__)
#define FLOAT "x"
#define TWO(function, suffix, insn) ASM2(function, suffix, insn "s" #suffix " %2, %0", "0"(x), "x"(y))
#define ONE(function, suffix, insn) ASM1(function, suffix, insn "s" #suffix " %1, %0", "x"(x))
#define THREE(function, suffix, insn) ASM3(function, suffix, insn "s" #suffix " %3, %2, %0", "0"(x), "x"(y), "x"(z))
#else
#error "float-oracle.c knows RISC-V, AArch64 and x86-64"
#endif

#define ASM1(function, suffix, text, ...)                    \
  OPERATION(function) {                                      \
    UNUSED;                                                  \
    TYPE_##suffix x = from_##suffix(a), r;                   \
    __asm__ volatile(text : "=" FLOAT(r) : __VA_ARGS__);     \
    return bits_##suffix(r);                                 \
  }
#define ASM2(function, suffix, text, ...)                             \
  OPERATION(function) {                                               \
    UNUSED;                                                           \
    TYPE_##suffix x = from_##suffix(a), y = from_##suffix(b), r;      \
    __asm__ volatile(text : "=" FLOAT(r) : __VA_ARGS__);              \
    return bits_##suffix(r);                                          \
  }
#define ASM3(function, suffix, text, ...)                                                  \
  OPERATION(function) {                                                                    \
    UNUSED;                                                                                \
    TYPE_##suffix x = from_##suffix(a), y = from_##suffix(b), z = from_##suffix(c), r;     \
    __asm__ volatile(text : "=" FLOAT(r) : __VA_ARGS__);                                   \
    return bits_##suffix(r);                                                               \
  }
// A float in, an integer out, and the reverse. The text names the operands %0 and %1.
#define TO_INTEGER(function, suffix, integer, text)                        \
  OPERATION(function) {                                                    \
    UNUSED;                                                                \
    integer r;                                                             \
    __asm__ volatile(text : "=r"(r) : FLOAT(from_##suffix(a)));            \
    return (uint64_t)r;                                                    \
  }
#define FROM_INTEGER(function, suffix, integer, text)                      \
  OPERATION(function) {                                                    \
    UNUSED;                                                                \
    TYPE_##suffix r;                                                       \
    __asm__ volatile(text : "=" FLOAT(r) : "r"((integer)a));               \
    return bits_##suffix(r);                                               \
  }
#define CONVERT(function, from, to, text)                                  \
  OPERATION(function) {                                                    \
    UNUSED;                                                                \
    TYPE_##to r;                                                           \
    __asm__ volatile(text : "=" FLOAT(r) : FLOAT(from_##from(a)));         \
    return bits_##to(r);                                                   \
  }

#if defined(__riscv)

#define COMPARE(function, suffix, insn)                                                                     \
  OPERATION(function) {                                                                                     \
    UNUSED;                                                                                                 \
    uint64_t r;                                                                                             \
    __asm__ volatile(insn "." #suffix " %0, %1, %2" : "=r"(r) : "f"(from_##suffix(a)), "f"(from_##suffix(b))); \
    return r;                                                                                               \
  }
#define FORMAT(s)                                                        \
  TWO(add_##s, s, "fadd") TWO(sub_##s, s, "fsub")                        \
  TWO(mul_##s, s, "fmul") TWO(div_##s, s, "fdiv")                        \
  ONE(sqrt_##s, s, "fsqrt")                                              \
  TWO(minimumNumber_##s, s, "fmin") TWO(maximumNumber_##s, s, "fmax")    \
  TWO(copySign_##s, s, "fsgnj") TWO(copySignNegated_##s, s, "fsgnjn")    \
  TWO(copySignXor_##s, s, "fsgnjx")                                      \
  THREE(fmadd_##s, s, "fmadd") THREE(fmsub_##s, s, "fmsub")              \
  THREE(fnmadd_##s, s, "fnmadd") THREE(fnmsub_##s, s, "fnmsub")          \
  COMPARE(equalQuiet_##s, s, "feq") COMPARE(lessSignaling_##s, s, "flt") \
  COMPARE(lessEqualSignaling_##s, s, "fle")                              \
  TO_INTEGER(classify_##s, s, uint64_t, "fclass." #s " %0, %1")          \
  TO_INTEGER(toI32_##s, s, uint32_t, "fcvt.w." #s " %0, %1")             \
  TO_INTEGER(toU32_##s, s, uint32_t, "fcvt.wu." #s " %0, %1")            \
  TO_INTEGER(toI64_##s, s, uint64_t, "fcvt.l." #s " %0, %1")             \
  TO_INTEGER(toU64_##s, s, uint64_t, "fcvt.lu." #s " %0, %1")            \
  FROM_INTEGER(fromI32_##s, s, int32_t, "fcvt." #s ".w %0, %1")          \
  FROM_INTEGER(fromU32_##s, s, int32_t, "fcvt." #s ".wu %0, %1")         \
  FROM_INTEGER(fromI64_##s, s, uint64_t, "fcvt." #s ".l %0, %1")         \
  FROM_INTEGER(fromU64_##s, s, uint64_t, "fcvt." #s ".lu %0, %1")
FORMAT(s)
FORMAT(d)
CONVERT(widen_s, s, d, "fcvt.d.s %0, %1")
CONVERT(narrow_d, d, s, "fcvt.s.d %0, %1")
#define OPERATIONS(X, s)                                                                                           \
  X(add, s) X(sub, s) X(mul, s) X(div, s) X(sqrt, s) X(minimumNumber, s) X(maximumNumber, s) X(copySign, s)         \
  X(copySignNegated, s) X(copySignXor, s) X(fmadd, s) X(fmsub, s) X(fnmadd, s) X(fnmsub, s) X(equalQuiet, s)        \
  X(lessSignaling, s) X(lessEqualSignaling, s) X(classify, s) X(toI32, s) X(toU32, s) X(toI64, s) X(toU64, s)       \
  X(fromI32, s) X(fromU32, s) X(fromI64, s) X(fromU64, s)

#elif defined(__aarch64__)

// The rounding mode is part of the instruction here, which also gives ties-away a voice.
#define ROUNDED_TO_INTEGER(function, suffix, integer, letter, reg)                       \
  TO_INTEGER(function##_n, suffix, integer, "fcvtn" letter " " reg ", %" #suffix "1")    \
  TO_INTEGER(function##_z, suffix, integer, "fcvtz" letter " " reg ", %" #suffix "1")    \
  TO_INTEGER(function##_m, suffix, integer, "fcvtm" letter " " reg ", %" #suffix "1")    \
  TO_INTEGER(function##_p, suffix, integer, "fcvtp" letter " " reg ", %" #suffix "1")    \
  TO_INTEGER(function##_a, suffix, integer, "fcvta" letter " " reg ", %" #suffix "1")    \
  OPERATION(function) {                                                                  \
    static Operation *const modes[] = {function##_n, function##_z, function##_m, function##_p, function##_a}; \
    unsupported = 0;                                                                     \
    return modes[roundingMode](a, b, c);                                                 \
  }
#define FORMAT(s)                                                            \
  TWO(add_##s, s, "fadd") TWO(sub_##s, s, "fsub")                            \
  TWO(mul_##s, s, "fmul") TWO(div_##s, s, "fdiv")                            \
  ONE(sqrt_##s, s, "fsqrt")                                                  \
  TWO(minimum_##s, s, "fmin") TWO(maximum_##s, s, "fmax")                    \
  TWO(minimumNumber_##s, s, "fminnm") TWO(maximumNumber_##s, s, "fmaxnm")    \
  THREE(fmadd_##s, s, "fmadd")                                               \
  ONE(roundToIntegral_##s, s, "frinti") ONE(roundToIntegralExact_##s, s, "frintx") \
  ROUNDED_TO_INTEGER(toI32_##s, s, uint32_t, "s", "%w0")                     \
  ROUNDED_TO_INTEGER(toU32_##s, s, uint32_t, "u", "%w0")                     \
  ROUNDED_TO_INTEGER(toI64_##s, s, uint64_t, "s", "%x0")                     \
  ROUNDED_TO_INTEGER(toU64_##s, s, uint64_t, "u", "%x0")                     \
  FROM_INTEGER(fromI32_##s, s, uint32_t, "scvtf %" #s "0, %w1")              \
  FROM_INTEGER(fromU32_##s, s, uint32_t, "ucvtf %" #s "0, %w1")              \
  FROM_INTEGER(fromI64_##s, s, uint64_t, "scvtf %" #s "0, %x1")              \
  FROM_INTEGER(fromU64_##s, s, uint64_t, "ucvtf %" #s "0, %x1")
FORMAT(s)
FORMAT(d)
CONVERT(widen_s, s, d, "fcvt %d0, %s1")
CONVERT(narrow_d, d, s, "fcvt %s0, %d1")
#define OPERATIONS(X, s)                                                                                           \
  X(add, s) X(sub, s) X(mul, s) X(div, s) X(sqrt, s) X(minimum, s) X(maximum, s) X(minimumNumber, s)                \
  X(maximumNumber, s) X(fmadd, s) X(roundToIntegral, s) X(roundToIntegralExact, s) X(toI32, s) X(toU32, s)          \
  X(toI64, s) X(toU64, s) X(fromI32, s) X(fromU32, s) X(fromI64, s) X(fromU64, s)

#else

#define FUSED(name, suffix, insn)                                          \
  THREE(name##_instruction_##suffix, suffix, insn)                         \
  OPERATION(name##_##suffix) {                                             \
    if (__builtin_cpu_supports("fma")) return name##_instruction_##suffix(a, b, c); \
    unsupported = 1;                                                       \
    return 0;                                                              \
  }
#define FORMAT(s)                                                            \
  TWO(add_##s, s, "add") TWO(sub_##s, s, "sub")                              \
  TWO(mul_##s, s, "mul") TWO(div_##s, s, "div")                              \
  ONE(sqrt_##s, s, "sqrt")                                                   \
  FUSED(fmadd, s, "vfmadd213") FUSED(fmsub, s, "vfmsub213")                  \
  FUSED(fnmadd, s, "vfnmsub213") FUSED(fnmsub, s, "vfnmadd213")              \
  TO_INTEGER(toI32_##s, s, uint32_t, "cvts" #s "2si %1, %k0")                \
  TO_INTEGER(toI64_##s, s, uint64_t, "cvts" #s "2si %1, %q0")                \
  FROM_INTEGER(fromI32_##s, s, uint32_t, "cvtsi2s" #s "l %k1, %0")           \
  FROM_INTEGER(fromI64_##s, s, uint64_t, "cvtsi2s" #s "q %q1, %0")
FORMAT(s)
FORMAT(d)
CONVERT(widen_s, s, d, "cvtss2sd %1, %0")
CONVERT(narrow_d, d, s, "cvtsd2ss %1, %0")
#define OPERATIONS(X, s)                                                                                           \
  X(add, s) X(sub, s) X(mul, s) X(div, s) X(sqrt, s) X(fmadd, s) X(fmsub, s) X(fnmadd, s) X(fnmsub, s)              \
  X(toI32, s) X(toI64, s) X(fromI32, s) X(fromI64, s)

#endif

#define ENTRY(name, s) {#name "." #s, name##_##s},
static const struct {
  const char *name;
  Operation *run;
} operations[] = {OPERATIONS(ENTRY, s) OPERATIONS(ENTRY, d){"widen.s", widen_s}, {"narrow.d", narrow_d}};

static Operation *find(const char *name) {
  for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
    if (strcmp(operations[i].name, name) == 0) return operations[i].run;
  return NULL;
}

static void setRounding(int mode) {
  static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  roundingMode = mode;
#if defined(__riscv)
  (void)modes;
  __asm__ volatile("fsrm %0" : : "r"((uint64_t)mode));
#else
  unsupported = mode > 3 || fesetround(modes[mode]) != 0;
#endif
}

static unsigned raised(void) {
  int flags = fetestexcept(FE_ALL_EXCEPT);
  return (flags & FE_INEXACT ? 1 : 0) | (flags & FE_UNDERFLOW ? 2 : 0) | (flags & FE_OVERFLOW ? 4 : 0) |
         (flags & FE_DIVBYZERO ? 8 : 0) | (flags & FE_INVALID ? 16 : 0);
}

int main(void) {
  char name[64];
  int mode;
  uint64_t a, b, c;
  int fields;
  while ((fields = scanf("%63s %d %" SCNx64 " %" SCNx64 " %" SCNx64, name, &mode, &a, &b, &c)) == 5) {
    Operation *run = find(name);
    if (run == NULL || mode < 0 || mode > 4) {
      puts("unsupported");
      continue;
    }
    unsupported = 0;
    setRounding(mode);
    feclearexcept(FE_ALL_EXCEPT);
    uint64_t bits = run(a, b, c);
    unsigned flags = raised();
    fesetround(FE_TONEAREST);
    if (unsupported)
      puts("unsupported");
    else
      printf("%" PRIx64 " %x\n", bits, flags);
  }
  if (fields == EOF) return 0;
  fputs("float-oracle: expected 'name rounding a b c'\n", stderr);
  return 1;
}
