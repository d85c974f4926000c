/* Time zones: known moments, the C library's opinion on many others, and files that are damaged. */
#include "test/unit/unit.h"

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/zones.h"

static bool no_database(void)
{
	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0) {
		print_message("no time zones on this system\n");
		return true;
	}
	return false;
}

static int64_t offset(struct zones_cache *c, const char *zone, int64_t at)
{
	int64_t s = INT64_MIN;

	assert_int_equal(zones_offset(c, zone, at, &s), 0);
	return s;
}

static void known_moments_are_right(void **state)
{
	struct zones_cache c = {0};

	(void)state;
	if (no_database()) {
		skip();
	}
	assert_int_equal(offset(&c, "Europe/Berlin", 1774745999), 3600); /* 29 March 2026, 00:59:59 UTC */
	assert_int_equal(offset(&c, "Europe/Berlin", 1774746000), 7200);
	assert_int_equal(offset(&c, "Europe/Berlin", 1792889999), 7200); /* 25 October 2026 */
	assert_int_equal(offset(&c, "Europe/Berlin", 1792890000), 3600);
	assert_int_equal(offset(&c, "Europe/Berlin", 4118000400), 7200); /* Summer 2100: by the rule alone. */
	assert_int_equal(offset(&c, "America/New_York", 1772953199), -5 * 3600); /* 8 March 2026, 06:59:59 UTC */
	assert_int_equal(offset(&c, "America/New_York", 1772953200), -4 * 3600);
	assert_int_equal(offset(&c, "Asia/Kolkata", 1774745999), 19800);
	assert_int_equal(offset(&c, "Australia/Sydney", 1767225600), 11 * 3600); /* Their summer. */
	assert_int_equal(offset(&c, "Australia/Sydney", 1782864000), 10 * 3600);
	assert_int_equal(offset(&c, "Etc/UTC", 1774745999), 0);
	zones_close(&c);
}

/* As far as the C library goes. */
static int64_t library_offset(const char *zone, time_t at)
{
	struct tm tm;

	setenv("TZ", zone, 1);
	tzset();
	assert_non_null(localtime_r(&at, &tm));
	return tm.tm_gmtoff;
}

static void the_c_library_says_the_same(void **state)
{
	static const char *const zones[] = {
		"Europe/Berlin",   "Europe/Dublin",    "America/New_York", "America/Sao_Paulo", "Asia/Tehran",
		"Asia/Kathmandu",  "Africa/Casablanca", "Africa/Cairo",     "Asia/Gaza",        "Pacific/Apia",
		"Pacific/Chatham", "Australia/Lord_Howe", "America/Nuuk",   "America/Santiago", "Antarctica/Troll",
		"Europe/London",   "Asia/Jerusalem",   "America/Havana",   "EST5EDT",          "Etc/GMT+12"};
	struct zones_cache c = {0};

	(void)state;
	if (no_database()) {
		skip();
	}
	srand(1);
	for (unsigned i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		for (unsigned k = 0; k < 2000; k++) {
			int64_t at = (int64_t)(((uint64_t)rand() << 16 | (unsigned)rand() % 65536) % 4700000000u);
			int64_t ours = INT64_MIN;

			if (zones_offset(&c, zones[i], at, &ours) == ERR_NOTFOUND) {
				break; /* Not in every database. */
			}
			if (ours != library_offset(zones[i], at)) {
				fail_msg("%s at %lld: %lld", zones[i], (long long)at, (long long)ours);
			}
		}
	}
	unsetenv("TZ");
	tzset();
	zones_close(&c);
}

static void what_is_no_zone_is_not_found(void **state)
{
	static const char *const names[] = {"",		   "Nowhere/Atlantis", "/etc/passwd", "../../../etc/passwd",
					    "Europe/Ber\xc3\xbcn", "Europe",	       "a b",	      "Europe/Berlin/"};
	struct zones_cache c = {0};
	int64_t s = 42;

	(void)state;
	log_set_level(LOG_OFF);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_true(zones_offset(&c, names[i], 0, &s) < 0);
		assert_int_equal(s, 42);
	}
	for (unsigned i = 0; i < 3 * ZONES_MAX; i++) { /* The cache has a bound. */
		char name[32];

		snprintf(name, sizeof(name), "Nowhere/%u", i);
		assert_int_equal(zones_offset(&c, name, 0, &s), ERR_NOTFOUND);
		assert_true(c.n <= ZONES_MAX);
	}
	log_set_level(LOG_INFO);
	zones_close(&c);
}

static size_t load(const char *path, uint8_t *data, size_t size)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	n = fread(data, 1, size, f);
	fclose(f);
	return n;
}

/* Cut at any place, or with any byte another one: an error or some offset, and nothing worse. */
static void damaged_files_do_no_harm(void **state)
{
	static uint8_t data[ZONE_FILE_MAX];
	struct zone_file z;
	size_t len;

	(void)state;
	if (no_database()) {
		skip();
	}
	len = load("/usr/share/zoneinfo/Europe/Berlin", data, sizeof(data));
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = malloc(cut + 1);

		memcpy(copy, data, cut);
		assert_int_equal(zone_file_decode(copy, cut, &z), ERR_CORRUPT);
		free(copy);
	}
	for (size_t i = 0; i < len; i++) {
		uint8_t was = data[i];

		data[i] ^= (uint8_t)(1 + rand() % 255);
		if (zone_file_decode(data, len, &z) == 0) {
			int64_t s = zone_file_offset_s(&z, 1774746000);

			assert_true(s >= -26 * 3600 && s <= 26 * 3600);
			zone_file_close(&z);
		}
		data[i] = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_moments_are_right),
		cmocka_unit_test(the_c_library_says_the_same),
		cmocka_unit_test(what_is_no_zone_is_not_found),
		cmocka_unit_test(damaged_files_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
