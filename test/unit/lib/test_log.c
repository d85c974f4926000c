/* Lines of the log: text and JSON, too long ones, and files that are moved away. */
#include "test/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/log.h"

static char dir[64];
static char path[96];
static int own_stderr; /* Which cmocka needs between the tests. */

/* The file's content; "" when it is empty. */
static const char *content(const char *name)
{
	static char text[65536];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static int set_up(void **state)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)state;
	strcpy(dir, "/tmp/test_log_XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	own_stderr = dup(STDERR_FILENO);
	assert_true(own_stderr >= 0 && dup2(null, STDERR_FILENO) >= 0);
	close(null);
	log_set_json(false);
	assert_int_equal(log_open(path), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	dup2(own_stderr, STDERR_FILENO);
	close(own_stderr);
	unlink(path);
	rmdir(dir);
	return 0;
}

static void a_line_has_time_level_and_subsystem(void **state)
{
	const char *line;

	(void)state;
	log_info("raft", "leader is %s", "s2");
	line = content(path);
	assert_int_equal(strlen(line), strlen("2026-11-22T08:15:30.123Z [INFO]  raft: leader is s2\n"));
	assert_int_equal(line[10], 'T');
	assert_string_equal(line + 23, "Z [INFO]  raft: leader is s2\n");
}

static void json_escapes_what_it_must(void **state)
{
	const char *line;

	(void)state;
	log_set_json(true);
	log_warn("http", "a \"b\"\n\\ \xc3\xa4");
	line = content(path);
	assert_memory_equal(line, "{\"@timestamp\":\"2", 16);
	assert_non_null(strstr(line, "\",\"@level\":\"warn\",\"@module\":\"http\",\"@message\":\""
				     "a \\u0022b\\u0022\\u000a\\u005c \xc3\xa4\"}\n"));
}

/* Whatever it is made of, a line ends where a line ends, and JSON is closed. */
static void long_lines_are_cut(void **state)
{
	static char big[20000];
	const char *line;
	size_t n;

	(void)state;
	for (unsigned json = 0; json < 2; json++) {
		for (unsigned c = 0; c < 2; c++) {
			memset(big, c == 0 ? 'x' : '\n', sizeof(big) - 1);
			assert_int_equal(truncate(path, 0), 0);
			log_set_json(json == 1);
			log_error("raft", "%s", big);
			line = content(path);
			n = strlen(line);
			assert_in_range(n, 4000, 4097);
			assert_int_equal(line[n - 1], '\n');
			assert_true(json == 0 || memcmp(line + n - 3, "\"}\n", 3) == 0);
		}
	}
}

static void a_file_that_was_moved_is_followed(void **state)
{
	char moved[128];

	(void)state;
	snprintf(moved, sizeof(moved), "%s.1", path);
	log_info("a", "one");
	assert_int_equal(rename(path, moved), 0);
	log_info("a", "two");
	assert_int_equal(log_open(path), 0);
	log_info("a", "three");
	assert_non_null(strstr(content(moved), "one"));
	assert_non_null(strstr(content(moved), "two"));
	assert_null(strstr(content(moved), "three"));
	assert_non_null(strstr(content(path), "three"));
	unlink(moved);
}

static void a_file_that_cannot_be_made_changes_nothing(void **state)
{
	char missing[128];

	(void)state;
	snprintf(missing, sizeof(missing), "%s/no/log", dir);
	assert_int_equal(log_open(missing), ENOENT);
	log_info("a", "still here");
	assert_non_null(strstr(content(path), "still here"));
}

/* ---- taps ---- */

static const char *taken(struct log_tap *tap, uint64_t dropped)
{
	static struct buf out;

	out.len = 0;
	assert_int_equal(log_tap_take(tap, &out), dropped);
	return buf_text(&out);
}

static void a_tap_has_its_own_level_and_form(void **state)
{
	struct log_tap *debug = log_tap_open(LOG_DEBUG, false);
	struct log_tap *errors = log_tap_open(LOG_ERROR, true);

	(void)state;
	assert_true(log_wants(LOG_DEBUG));
	log_debug("http", "a %d", 1);
	log_info("http", "b %d", 2);
	log_error("http", "c %d", 3);
	assert_non_null(strstr(taken(debug, 0), " [DEBUG] http: a 1\n"));
	log_error("http", "d");
	assert_non_null(strstr(taken(debug, 0), " [ERROR] http: d\n"));
	assert_null(strstr(taken(errors, 0), "b 2"));
	assert_null(strstr(content(path), "a 1"));
	assert_non_null(strstr(content(path), "b 2"));
	log_error("http", "e");
	assert_non_null(strstr(taken(errors, 0), "\"@message\":\"e\"}\n"));
	log_tap_close(debug);
	assert_false(log_wants(LOG_DEBUG));
	log_tap_close(errors);
}

static void what_is_not_taken_out_is_dropped_and_counted(void **state)
{
	struct log_tap *tap = log_tap_open(LOG_TRACE, false);
	static char text[1025];
	struct buf out = {0};
	uint64_t dropped;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	for (unsigned i = 0; i < 1000; i++) {
		log_debug("test", "%s", text);
	}
	dropped = log_tap_take(tap, &out);
	assert_true(out.len <= LOG_TAP_BYTES && out.len > LOG_TAP_BYTES - 2048);
	assert_true(dropped > 700 && dropped < 800);
	buf_close(&out);
	log_debug("test", "after");
	assert_non_null(strstr(taken(tap, 0), "after"));
	log_tap_close(tap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_has_time_level_and_subsystem, set_up, tear_down),
		cmocka_unit_test_setup_teardown(json_escapes_what_it_must, set_up, tear_down),
		cmocka_unit_test_setup_teardown(long_lines_are_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_was_moved_is_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_be_made_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_tap_has_its_own_level_and_form, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_taken_out_is_dropped_and_counted, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
