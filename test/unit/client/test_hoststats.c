/* What the whole machine uses: from files of a made-up one, and from the real one. */
#include "test/unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "client/hoststats.h"

static char root[64];
static struct arena mem;
static struct hoststats h;

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/%s", root, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int set_up(void **state)
{
	char proc[80];

	(void)state;
	strcpy(root, "/tmp/test-hoststats-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(proc, sizeof(proc), "%s/proc", root);
	memset(&h, 0, sizeof(h));
	return mkdir(proc, 0700);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	arena_close(&mem);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static struct host_stats look(const char *at, const char *dir)
{
	struct host_stats s;

	assert_int_equal(hoststats_look(&h, at, dir, 4000, &s, &mem), 0);
	return s;
}

static void memory_and_uptime_are_read(void **state)
{
	struct host_stats s;

	(void)state;
	write_file("meminfo", "MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable:     400 kB\nSwapTotal: 7 kB\n");
	write_file("uptime", "12345.67 20000.00\n");
	s = look(root, root);
	assert_int_equal(s.memory->total, 1000 * 1024);
	assert_int_equal(s.memory->free, 100 * 1024);
	assert_int_equal(s.memory->available, 400 * 1024);
	assert_int_equal(s.memory->used, 600 * 1024);
	assert_int_equal(s.uptime, 12345);
}

/* At first since the machine began, then since the last look; one that comes at once is told the same again. */
static void processors_shares_are_of_the_time_between(void **state)
{
	struct host_stats s;

	(void)state;
	write_file("stat", "cpu  1 2 3 4\ncpu0 100 100 200 500 100 0 0 0\ncpu1 0 0 0 1000 0 0 0 0\nintr 5\n");
	s = look(root, root);
	assert_int_equal(s.cpu.n, 2);
	assert_string_equal(s.cpu.at[0].cpu, "cpu0");
	assert_true(s.cpu.at[0].user == 20 && s.cpu.at[0].system == 20 && s.cpu.at[0].idle == 60);
	assert_true(s.cpu.at[0].total_percent == 40 && s.cpu.at[1].idle == 100);
	assert_true(s.ticks == 800); /* A fifth of two processors with 4000 MHz in all. */
	write_file("stat", "cpu0 190 100 200 510 100 0 0 0\ncpu1 5 0 0 1000 0 0 0 0\n");
	s = look(root, root);
	assert_true(s.cpu.at[0].user == 90 && s.cpu.at[0].system == 0 && s.cpu.at[0].idle == 10);
	assert_true(s.cpu.at[1].idle == 100);
}

static void nonsense_is_left_out(void **state)
{
	struct host_stats s;

	(void)state;
	write_file("stat", "cpu0 a b c\ncpu99999 1 1 1 1\ncpu\n\xff\xfe\n");
	write_file("meminfo", "MemTotal: much\nMemAvailable: 5 kB");
	write_file("uptime", "long");
	s = look(root, "/no/such/directory");
	assert_int_equal(s.cpu.n, 0);
	assert_int_equal(s.memory->used, 0);
	assert_int_equal(s.uptime, 0);
	assert_int_equal(s.alloc_dir->size, 0);
	assert_string_equal(s.alloc_dir->device, "");
}

static void the_real_machine_has_some_of_all(void **state)
{
	struct host_stats s = look("", "/tmp");

	(void)state;
	assert_true(s.memory->total > 0 && s.cpu.n > 0 && s.uptime > 0);
	assert_true(s.alloc_dir->size > 0 && s.alloc_dir->used_percent <= 100);
	assert_int_equal(s.disk.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(memory_and_uptime_are_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(processors_shares_are_of_the_time_between, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nonsense_is_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_real_machine_has_some_of_all, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
