#include "test/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/executor/logs.h"

struct place {
	char path[64];
	int dir;
	int to; /* The pipe's end that a task would have. */
	struct logs l;
	int64_t now;
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int setup(void **state)
{
	static struct place p;

	memset(&p, 0, sizeof(p));
	snprintf(p.path, sizeof(p.path), "/tmp/drover-test-XXXXXX");
	assert_non_null(mkdtemp(p.path));
	p.dir = open(p.path, O_RDONLY | O_DIRECTORY);
	p.to = -1;
	p.l.from = p.l.file = -1;
	p.now = 1000000000;
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	logs_close(&p->l);
	if (p->to >= 0) {
		close(p->to);
	}
	close(p->dir);
	return nftw(p->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_logs(struct place *p, int64_t files, int64_t bytes)
{
	int ends[2];

	assert_int_equal(logs_open(&p->l, p->dir, "t.stdout", files, bytes), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	p->l.from = ends[0];
	if (p->to >= 0) {
		close(p->to);
	}
	p->to = ends[1];
}

static void say(struct place *p, const char *data, size_t n)
{
	assert_int_equal(write(p->to, data, n), (ssize_t)n);
}

static enum logs_state pump(struct place *p)
{
	enum logs_state s;

	do {
		s = logs_pump(&p->l, p->now);
	} while (s == LOGS_MORE);
	return s;
}

/* The content of one file, or NULL. */
static const char *content(const struct place *p, unsigned index, size_t *n)
{
	static char data[1 << 20];
	char name[64];
	ssize_t got;
	int fd;

	snprintf(name, sizeof(name), "t.stdout.%u", index);
	fd = openat(p->dir, name, O_RDONLY);
	if (fd < 0) {
		return NULL;
	}
	got = read(fd, data, sizeof(data) - 1);
	assert_true(got >= 0);
	close(fd);
	data[got] = '\0';
	*n = (size_t)got;
	return data;
}

static void expect(const struct place *p, unsigned index, const char *text)
{
	size_t n;
	const char *data = content(p, index, &n);

	if (text == NULL) {
		assert_null(data);
	} else {
		assert_non_null(data);
		assert_string_equal(data, text);
	}
}

static void output_is_split_at_the_size(void **state)
{
	struct place *p = *state;

	open_logs(p, 10, 4);
	say(p, "abcdefghij", 10);
	assert_int_equal(pump(p), LOGS_IDLE);
	expect(p, 0, "abcd");
	expect(p, 1, "efgh");
	expect(p, 2, "ij");
	say(p, "kl", 2);
	say(p, "m", 1);
	assert_int_equal(pump(p), LOGS_IDLE);
	expect(p, 2, "ijkl");
	expect(p, 3, "m");
	close(p->to);
	p->to = -1;
	assert_int_equal(pump(p), LOGS_ENDED);
}

static void the_oldest_files_go(void **state)
{
	struct place *p = *state;

	open_logs(p, 3, 2);
	say(p, "aabbccddee", 10);
	assert_int_equal(pump(p), LOGS_IDLE);
	expect(p, 0, NULL);
	expect(p, 1, NULL);
	expect(p, 2, "cc");
	expect(p, 3, "dd");
	expect(p, 4, "ee");
	expect(p, 5, NULL);
}

static void a_single_file_is_kept_small(void **state)
{
	struct place *p = *state;

	open_logs(p, 1, 3);
	say(p, "aaabbbc", 7);
	assert_int_equal(pump(p), LOGS_IDLE);
	expect(p, 0, NULL);
	expect(p, 1, NULL);
	expect(p, 2, "c");
}

static void the_last_file_is_continued(void **state)
{
	struct place *p = *state;

	open_logs(p, 5, 4);
	say(p, "aaaabb", 6);
	assert_int_equal(pump(p), LOGS_IDLE);
	logs_close(&p->l);
	/* With a smaller number of files, as after an update of the job. */
	open_logs(p, 2, 4);
	say(p, "bbccccd", 7);
	assert_int_equal(pump(p), LOGS_IDLE);
	expect(p, 0, NULL);
	expect(p, 1, NULL);
	expect(p, 2, "cccc");
	expect(p, 3, "d");
}

static void opening_removes_what_is_too_much(void **state)
{
	struct place *p = *state;

	open_logs(p, 9, 1);
	say(p, "abcdef", 6);
	assert_int_equal(pump(p), LOGS_IDLE);
	logs_close(&p->l);
	open_logs(p, 2, 1);
	expect(p, 3, NULL);
	expect(p, 4, "e");
	expect(p, 5, "f");
}

static void strange_files_are_left_alone(void **state)
{
	struct place *p = *state;
	static const char *const names[] = {"t.stdout.x", "t.stdout", "t.stdout.1x", "t.stdoutx.7",
					    "t.stdout.99999999999999999999"};
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		close(openat(p->dir, names[i], O_WRONLY | O_CREAT, 0600));
	}
	open_logs(p, 1, 2);
	say(p, "aab", 3);
	assert_int_equal(pump(p), LOGS_IDLE);
	expect(p, 1, "b");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(faccessat(p->dir, names[i], F_OK, 0), 0);
	}
}

static void a_link_in_place_of_a_log_is_refused(void **state)
{
	struct place *p = *state;
	char target[128];

	snprintf(target, sizeof(target), "%s/target", p->path);
	assert_int_equal(symlinkat(target, p->dir, "t.stdout.0"), 0);
	assert_true(logs_open(&p->l, p->dir, "t.stdout", 3, 10) < 0);
	assert_int_equal(access(target, F_OK), -1);
	assert_int_equal(unlinkat(p->dir, "t.stdout.0", 0), 0);
	assert_int_equal(mkdirat(p->dir, "t.stdout.0", 0700), 0);
	assert_true(logs_open(&p->l, p->dir, "t.stdout", 3, 10) < 0);
	assert_int_equal(logs_open(&p->l, p->dir, "../x", 3, 10), -ENAMETOOLONG);
	assert_int_equal(logs_open(&p->l, p->dir, "", 3, 10), -ENAMETOOLONG);
}

static void a_file_cut_short_by_others_is_filled_from_there(void **state)
{
	struct place *p = *state;

	open_logs(p, 3, 100);
	say(p, "before", 6);
	assert_int_equal(pump(p), LOGS_IDLE);
	assert_int_equal(ftruncate(p->l.file, 0), 0);
	say(p, "after", 5);
	assert_int_equal(pump(p), LOGS_IDLE);
	expect(p, 0, "after");
}

/* Read the kept files one after the other: they must be the end of what was said. */
static void check_tail(const struct place *p, const char *said, size_t said_n, int64_t files, int64_t bytes)
{
	static char all[1 << 20];
	size_t n = 0;
	size_t have = 0;
	unsigned kept = 0;
	unsigned i;

	for (i = 0; i <= p->l.index; i++) {
		const char *data = content(p, i, &n);

		if (data != NULL) {
			kept++;
			assert_true((int64_t)n <= bytes);
			assert_true(i == p->l.index || (int64_t)n == bytes);
			memcpy(all + have, data, n);
			have += n;
		}
	}
	assert_true(kept <= files);
	assert_true(have == said_n || kept == files);
	assert_memory_equal(all, said + said_n - have, have);
}

static void random_writes_lose_nothing(void **state)
{
	struct place *p = *state;
	unsigned seed = (unsigned)time(NULL);
	static char said[400000];
	size_t n;
	size_t k;
	int round;
	int64_t files;
	int64_t bytes;

	printf("seed %u\n", seed);
	srand(seed);
	for (n = 0; n < sizeof(said); n++) {
		said[n] = (char)(' ' + rand() % 90);
	}
	for (round = 0; round < 20; round++) {
		char path[64];

		files = 1 + rand() % 12;
		bytes = 1 + rand() % (round % 2 ? 50000 : 3000);
		snprintf(path, sizeof(path), "%s", p->path);
		open_logs(p, files, bytes);
		if (round % 3 == 0) {
			p->l.copying = true; /* As on a file system that cannot splice. */
		}
		for (n = 0; n < 60000;) {
			k = 1 + (size_t)rand() % (rand() % 3 == 0 ? 20000 : 100);
			say(p, said + n, k);
			n += k;
			if (rand() % 3 != 0 || k > 100) {
				assert_int_equal(pump(p), LOGS_IDLE);
			}
			if (rand() % 50 == 0) {
				/* The task is restarted. */
				logs_drain(&p->l, p->now);
				logs_close(&p->l);
				open_logs(p, files, bytes);
				p->l.copying = rand() % 2;
			}
		}
		logs_drain(&p->l, p->now);
		check_tail(p, said, n, files, bytes);
		logs_close(&p->l);
		while (p->l.index + 1 > 0 && p->l.index < UINT64_MAX) {
			char name[64];

			snprintf(name, sizeof(name), "t.stdout.%llu", (unsigned long long)p->l.index--);
			unlinkat(p->dir, name, 0);
		}
	}
}

/* ---- a full disk ---- */

static void mount_small(struct place *p, const char *options)
{
	if (geteuid() != 0 || mount("tmpfs", p->path, "tmpfs", 0, options) != 0) {
		skip();
	}
	close(p->dir);
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY);
}

static void unmount_small(struct place *p)
{
	logs_close(&p->l);
	close(p->dir);
	assert_int_equal(umount2(p->path, MNT_DETACH), 0);
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY);
}

static void fill(const struct place *p, size_t keep_free)
{
	char data[4096] = {0};
	int fd = openat(p->dir, "filler", O_WRONLY | O_CREAT, 0600);

	while (write(fd, data, sizeof(data)) > 0) {
	}
	assert_int_equal(ftruncate(fd, lseek(fd, 0, SEEK_END) - (off_t)keep_free), 0);
	close(fd);
}

static void a_full_disk_holds_output_back_at_first(void **state)
{
	struct place *p = *state;
	static char data[20000];
	size_t n;

	mount_small(p, "size=256k");
	memset(data, 'a', sizeof(data));
	open_logs(p, 3, 1 << 20);
	fill(p, 8192);
	say(p, data, sizeof(data));
	assert_int_equal(pump(p), LOGS_BLOCKED);
	assert_true(p->l.retry_ns > p->now);
	p->now += LOGS_RETRY_NS;
	assert_int_equal(pump(p), LOGS_BLOCKED);
	assert_int_equal(unlinkat(p->dir, "filler", 0), 0);
	p->now += LOGS_RETRY_NS;
	assert_int_equal(pump(p), LOGS_IDLE);
	assert_non_null(content(p, 0, &n));
	assert_int_equal(n, sizeof(data));
	assert_int_equal(p->l.lost, 0);
	unmount_small(p);
}

static void a_disk_that_stays_full_does_not_stop_the_task(void **state)
{
	struct place *p = *state;
	static char data[20000];
	const char *text;
	size_t n;
	int i;

	mount_small(p, "size=256k");
	memset(data, 'a', sizeof(data));
	open_logs(p, 3, 1 << 20);
	fill(p, 0);
	for (i = 0; i < 40; i++) {
		if (p->l.lost > 0 || i < 3) {
			say(p, data, sizeof(data)); /* Blocks if the pipe is not emptied. */
		}
		assert_int_equal(pump(p), LOGS_BLOCKED);
		p->now += LOGS_RETRY_NS;
	}
	assert_true(p->l.lost >= 3 * sizeof(data));
	assert_int_equal(unlinkat(p->dir, "filler", 0), 0);
	say(p, "back", 4);
	p->now += LOGS_RETRY_NS;
	assert_int_equal(pump(p), LOGS_IDLE);
	text = content(p, 0, &n);
	assert_non_null(strstr(text, "bytes of output are missing here"));
	assert_non_null(strstr(text, "disk full"));
	assert_string_equal(text + n - 4, "back");
	assert_int_equal(p->l.lost, 0);
	unmount_small(p);
}

static void a_vanished_directory_does_not_fill_a_hidden_file(void **state)
{
	struct place *p = *state;
	struct stat st;

	open_logs(p, 2, 4);
	say(p, "aa", 2);
	assert_int_equal(pump(p), LOGS_IDLE);
	assert_int_equal(nftw(p->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
	say(p, "aabbbbbbbbb", 11);
	assert_int_equal(pump(p), LOGS_BLOCKED);
	p->now += LOGS_PATIENCE_NS;
	assert_int_equal(pump(p), LOGS_BLOCKED);
	assert_int_equal(fstat(p->l.file, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(mkdir(p->path, 0700), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(output_is_split_at_the_size),
		T(the_oldest_files_go),
		T(a_single_file_is_kept_small),
		T(the_last_file_is_continued),
		T(opening_removes_what_is_too_much),
		T(strange_files_are_left_alone),
		T(a_link_in_place_of_a_log_is_refused),
		T(a_file_cut_short_by_others_is_filled_from_there),
		T(random_writes_lose_nothing),
		T(a_full_disk_holds_output_back_at_first),
		T(a_disk_that_stays_full_does_not_stop_the_task),
		T(a_vanished_directory_does_not_fill_a_hidden_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
