/** When something happens, as cores are told it: they have no clock and no random source of their own. */
#ifndef LIB_MOMENT_H_
#define LIB_MOMENT_H_

#include <stdint.h>

/* Timers run on `mono_ns`, which never goes back; people are told `wall_ns`, Unix time. */
struct moment {
	int64_t mono_ns;
	int64_t wall_ns;
	uint64_t random; /* Any bits; used for delays only. */
};

#endif /* LIB_MOMENT_H_ */
