/* The processor's own CRC-32C (SSE 4.2, ARMv8 CRC): eight bytes in a cycle or three, which Swift has no word for. */
#ifndef FIELDPOST_CCRC32C_H
#define FIELDPOST_CCRC32C_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
static inline int fieldpost_has_crc32c(void) {
    unsigned int a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2);
}
__attribute__((target("sse4.2"))) static inline uint32_t fieldpost_crc32c(uint32_t crc, const void *data, size_t count) {
    const uint8_t *bytes = (const uint8_t *)data;
    uint64_t word, wide = crc;
    for (; count >= 8; count -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; count > 0; count--, bytes++) crc = __builtin_ia32_crc32qi(crc, *bytes);
    return crc;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>
static inline int fieldpost_has_crc32c(void) { return (getauxval(16 /* AT_HWCAP */) & (1 << 7 /* HWCAP_CRC32 */)) != 0; }
__attribute__((target("crc"))) static inline uint32_t fieldpost_crc32c(uint32_t crc, const void *data, size_t count) {
    const uint8_t *bytes = (const uint8_t *)data;
    uint64_t word;
    for (; count >= 8; count -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        crc = __builtin_arm_crc32cd(crc, word);
    }
    for (; count > 0; count--, bytes++) crc = __builtin_arm_crc32cb(crc, *bytes);
    return crc;
}
#else
static inline int fieldpost_has_crc32c(void) { return 0; }
static inline uint32_t fieldpost_crc32c(uint32_t crc, const void *data, size_t count) { return crc; }
#endif
#endif
