/** CRC-32C, the checksum of what is on disk and on the wire; by the processor's instruction where there is one. */
#ifndef LIB_CRC_H_
#define LIB_CRC_H_

#include <stddef.h>
#include <stdint.h>

/* The checksum of `len` more bytes behind those that gave `crc`; 0 to begin. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* The same without the instruction. For tests. */
uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t len);

#endif /* LIB_CRC_H_ */
