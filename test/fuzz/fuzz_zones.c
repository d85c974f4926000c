/* Files of the time zone database: whatever they say, an error or offsets of at most a day or so. */
#undef NDEBUG
#include <assert.h>

#include "server/zones.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t moments[] = {INT64_MIN, -1, 0, 1, 1774746000, 4118000400, INT64_C(1) << 41, INT64_MAX};
	struct zone_file z;

	if (zone_file_decode(data, size, &z) != 0) {
		return 0;
	}
	for (unsigned i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		int64_t s = zone_file_offset_s(&z, moments[i]);

		assert(s >= -27 * 3600 && s <= 27 * 3600);
	}
	zone_file_close(&z);
	return 0;
}
