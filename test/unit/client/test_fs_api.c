#include "test/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/allocdir.h"
#include "client/fs_api.h"
#include "proto/error.h"

static const char id[] = "11111111-2222-3333-4444-555555555555";

struct place {
	char root[64];
	char dir[128];
	int alloc;
	struct arena mem;
	struct fs_fault fault;
};

static void put(const struct place *p, const char *below, const char *data, size_t n, int flags)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", p->dir, below);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), (ssize_t)n);
	close(fd);
}

static void put_text(const struct place *p, const char *below, const char *text)
{
	put(p, below, text, strlen(text), O_TRUNC);
}

static void add_text(const struct place *p, const char *below, const char *text)
{
	put(p, below, text, strlen(text), O_APPEND);
}

static int setup(void **state)
{
	static struct place p;
	struct allocdir_task task = {"t", NULL};
	struct allocdir_spec spec = {.root = p.root, .alloc_id = id, .tasks = &task, .tasks_n = 1};
	char error[ALLOCDIR_TEXT];
	char path[256];

	memset(&p, 0, sizeof(p));
	umask(022);
	snprintf(p.root, sizeof(p.root), "/tmp/drover-test-XXXXXX");
	assert_non_null(mkdtemp(p.root));
	assert_int_equal(allocdir_build(&spec, error), 0);
	snprintf(p.dir, sizeof(p.dir), "%s/%s", p.root, id);
	p.alloc = allocdir_open(p.root, id);
	assert_true(p.alloc >= 0);
	put_text(&p, "alloc/logs/t.stdout.0", "out1\nout2\n");
	put_text(&p, "alloc/logs/t.stderr.0", "err1\n");
	snprintf(path, sizeof(path), "%s/t/local/sub", p.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	put_text(&p, "t/local/sub/f.txt", "hello");
	put_text(&p, "t/local/ready", "done\n");
	put_text(&p, "t/secrets/token", "s3cret");
	put_text(&p, "t/private/x", "s3cret");
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char error[ALLOCDIR_TEXT];

	close(p->alloc);
	arena_close(&p->mem);
	while (allocdir_destroy(p->root, id, 10000, error) == ERR_BUSY) {
	}
	return rmdir(p->root);
}

/* ---- queries: "name=value" texts with a NULL behind the last ---- */

static const char *get(const void *ctx, const char *name)
{
	const char *const *pairs = ctx;
	size_t n = strlen(name);

	for (; *pairs != NULL; pairs++) {
		if (strncmp(*pairs, name, n) == 0 && (*pairs)[n] == '=') {
			return *pairs + n + 1;
		}
	}
	return NULL;
}

#define QUERY(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_fault(struct place *p, enum fs_request what, const char *const *pairs, int status, const char *text)
{
	struct fs_reader r;
	struct fs_query q;
	struct fs_files files;
	struct fs_file file;
	int rv = fs_query_parse(what, get, pairs, &q, &p->fault);

	if (rv == 0 && what == FS_LS) {
		rv = fs_ls(p->alloc, q.path, &p->mem, &files, &p->fault);
	} else if (rv == 0 && what == FS_STAT) {
		rv = fs_stat(p->alloc, q.path, &p->mem, &file, &p->fault);
	} else if (rv == 0) {
		rv = fs_reader_open(&r, p->alloc, what, &q, &p->fault);
	}
	assert_int_equal(rv, ERR_INVALID);
	if (p->fault.status != status || strstr(p->fault.text, text) == NULL) {
		fail_msg("%d %s, and not %d %s", p->fault.status, p->fault.text, status, text);
	}
}

/* Everything that a query gives until it ends or waits. */
static const char *read_all(struct place *p, enum fs_request what, const char *const *pairs)
{
	static char all[8192];
	struct fs_reader r;
	struct fs_query q;
	size_t have = 0;
	size_t n;

	assert_int_equal(fs_query_parse(what, get, pairs, &q, &p->fault), 0);
	if (fs_reader_open(&r, p->alloc, what, &q, &p->fault) != 0) {
		fail_msg("%s", p->fault.text);
	}
	while (fs_reader_next(&r, all + have, 3, &n) == FS_DATA) {
		have += n;
	}
	all[have] = '\0';
	fs_reader_close(&r);
	return all;
}

static void listings_tell_names_types_and_sizes(void **state)
{
	struct place *p = *state;
	struct fs_files f;
	struct buf b = {0};

	assert_int_equal(fs_ls(p->alloc, "", &p->mem, &f, &p->fault), 0);
	assert_int_equal(f.n, 2);
	assert_string_equal(f.at[0].name, "alloc");
	assert_string_equal(f.at[1].name, "t");
	assert_true(f.at[1].is_dir);
	assert_string_equal(f.at[1].file_mode, "dtrwxrwxrwx");
	assert_int_equal(fs_ls(p->alloc, "/t/local/", &p->mem, &f, &p->fault), 0);
	assert_int_equal(f.n, 2);
	assert_string_equal(f.at[0].name, "ready");
	assert_string_equal(f.at[0].file_mode, "-rw-r--r--");
	assert_int_equal(f.at[0].size, 5);
	assert_false(f.at[0].is_dir);
	assert_true(f.at[0].mod_time > INT64_C(1600000000000000000));
	fs_files_encode(&f, &b);
	assert_non_null(
		strstr(buf_text(&b), "[{\"Name\":\"ready\",\"IsDir\":false,\"Size\":5,\"FileMode\":\"-rw-r--r--\","));
	buf_close(&b);
	assert_int_equal(fs_ls(p->alloc, "t/tmp", &p->mem, &f, &p->fault), 0);
	fs_files_encode(&f, &b);
	assert_string_equal(buf_text(&b), "[]");
	buf_close(&b);
	expect_fault(p, FS_LS, QUERY("path=/nope"), 404, "no such file or directory");
	expect_fault(p, FS_LS, QUERY("path=/t/local/ready"), 500, "not a directory");
}

static void stat_tells_one(void **state)
{
	struct place *p = *state;
	struct fs_file f;

	assert_int_equal(fs_stat(p->alloc, "/t/local/sub/f.txt", &p->mem, &f, &p->fault), 0);
	assert_string_equal(f.name, "f.txt");
	assert_int_equal(f.size, 5);
	assert_false(f.is_dir);
	assert_string_equal(f.content_type, "text/plain; charset=utf-8");
	assert_int_equal(fs_stat(p->alloc, "/t/local", &p->mem, &f, &p->fault), 0);
	assert_true(f.is_dir);
	assert_string_equal(f.name, "local");
	put(p, "t/local/blob", "a\0b", 3, O_TRUNC);
	assert_int_equal(fs_stat(p->alloc, "/t/local/blob", &p->mem, &f, &p->fault), 0);
	assert_string_equal(f.content_type, "application/octet-stream");
	expect_fault(p, FS_STAT, QUERY("x=y"), 400, "must provide a file name");
	expect_fault(p, FS_STAT, QUERY("path=/nope"), 404, "no such file or directory");
}

static void files_are_read_whole_and_in_part(void **state)
{
	struct place *p = *state;

	assert_string_equal(read_all(p, FS_CAT, QUERY("path=/t/local/sub/f.txt")), "hello");
	assert_string_equal(read_all(p, FS_READAT, QUERY("path=t/local/sub/f.txt", "offset=1", "limit=3")), "ell");
	assert_string_equal(read_all(p, FS_READAT, QUERY("path=t/local/sub/f.txt", "offset=4")), "o");
	assert_string_equal(read_all(p, FS_READAT, QUERY("path=t/local/sub/f.txt", "offset=9", "limit=1")), "");
	assert_string_equal(read_all(p, FS_STREAM, QUERY("path=t/local/sub/f.txt", "origin=end", "offset=2")), "lo");
	expect_fault(p, FS_CAT, QUERY("path="), 400, "must provide a file name");
	expect_fault(p, FS_CAT, QUERY("path=/t/local"), 400, "is a directory");
	expect_fault(p, FS_CAT, QUERY("path=/nope"), 404, "no such file or directory");
	assert_string_equal(read_all(p, FS_READAT, QUERY("path=t/local/sub/f.txt", "offset=1", "limit=0")), "ello");
	expect_fault(p, FS_READAT, QUERY("path=/t/local/ready"), 500, "error parsing offset: strconv.ParseInt: parsing \"\"");
	expect_fault(p, FS_READAT, QUERY("path=/t/local/ready", "offset=x"), 500, "error parsing offset");
	expect_fault(p, FS_READAT, QUERY("path=/t/local/ready", "offset=0", "limit=x"), 500, "error parsing limit");
	expect_fault(p, FS_READAT, QUERY("path=/t/local/ready", "offset=99999999999999999999"), 500, "out of range");
	expect_fault(p, FS_STREAM, QUERY("path=/t/local/ready", "offset=x"), 500, "error parsing offset");
	expect_fault(p, FS_STREAM, QUERY("path=/t/local/ready", "follow=x"), 500, "failed to parse follow field to boolean");
	expect_fault(p, FS_STREAM, QUERY("path=/t/local/ready", "origin=x"), 400, "origin must be start or end");
	expect_fault(p, FS_READAT, QUERY("path=/t/local/ready", "offset=-1"), 400, "offset");
}

static void paths_do_not_leave_the_allocation(void **state)
{
	struct place *p = *state;
	char path[256];

	expect_fault(p, FS_LS, QUERY("path=/../.."), 500, "Path escapes the alloc directory");
	expect_fault(p, FS_STAT, QUERY("path=../../.."), 500, "Path escapes the alloc directory");
	expect_fault(p, FS_CAT, QUERY("path=t/../../x"), 500, "Path escapes the alloc directory");
	snprintf(path, sizeof(path), "%s/t/local/etc", p->dir);
	assert_int_equal(symlink("/etc", path), 0);
	expect_fault(p, FS_CAT, QUERY("path=t/local/etc/passwd"), 500, "Path escapes the alloc directory");
	expect_fault(p, FS_LS, QUERY("path=t/local/etc"), 500, "Path escapes the alloc directory");
	snprintf(path, sizeof(path), "%s/t/local/near", p->dir);
	assert_int_equal(symlink("sub/f.txt", path), 0);
	assert_string_equal(read_all(p, FS_CAT, QUERY("path=t/local/near")), "hello");
}

static void secrets_are_not_read(void **state)
{
	struct place *p = *state;
	struct fs_files f;
	struct fs_file one;
	char path[256];

	expect_fault(p, FS_CAT, QUERY("path=/t/secrets/token"), 403,
		     "Reading secret file prohibited: /t/secrets/token");
	expect_fault(p, FS_READAT, QUERY("path=t/local/../secrets/token", "offset=0"), 403, "Reading secret file prohibited");
	expect_fault(p, FS_STREAM, QUERY("path=t//secrets/./token"), 403, "Reading secret file prohibited");
	expect_fault(p, FS_CAT, QUERY("path=/t/private/x"), 403, "Reading private file prohibited");
	snprintf(path, sizeof(path), "%s/t/local/link", p->dir);
	assert_int_equal(symlink("../secrets/token", path), 0);
	expect_fault(p, FS_CAT, QUERY("path=/t/local/link"), 403, "Reading secret file prohibited");
	snprintf(path, sizeof(path), "%s/t/local/dir", p->dir);
	assert_int_equal(symlink("../secrets", path), 0);
	expect_fault(p, FS_CAT, QUERY("path=/t/local/dir/token"), 403, "Reading secret file prohibited");
	assert_int_equal(fs_ls(p->alloc, "t/secrets", &p->mem, &f, &p->fault), 0);
	assert_int_equal(fs_stat(p->alloc, "t/secrets/token", &p->mem, &one, &p->fault), 0);
	assert_string_equal(one.content_type, "application/octet-stream"); /* As all that is not looked into. */
}

static void pipes_and_devices_are_not_read(void **state)
{
	struct place *p = *state;
	char path[256];

	snprintf(path, sizeof(path), "%s/t/local/pipe", p->dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_fault(p, FS_CAT, QUERY("path=t/local/pipe"), 400, "not a regular file");
}

static void odd_names_make_valid_text(void **state)
{
	struct place *p = *state;
	struct fs_files f;
	struct buf b = {0};
	const unsigned char *at;

	put_text(p, "t/tmp/a\"b\n\xff", "x");
	assert_int_equal(fs_ls(p->alloc, "t/tmp", &p->mem, &f, &p->fault), 0);
	assert_int_equal(f.n, 1);
	fs_files_encode(&f, &b);
	for (at = (const unsigned char *)buf_text(&b); *at != '\0'; at++) {
		assert_true(*at != 0xff && *at != '\n');
	}
	buf_close(&b);
}

/* ---- logs ---- */

static void logs_are_read_from_either_end(void **state)
{
	struct place *p = *state;

	assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stdout")), "out1\nout2\n");
	assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stderr", "plain=true")), "err1\n");
	assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stdout", "offset=5")), "out2\n");
	assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stdout", "origin=end", "offset=3")), "t2\n");
	assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stdout", "origin=end", "offset=99")),
			    "out1\nout2\n");
	assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stdout", "origin=start", "offset=99")), "");
}

static void faults_of_log_requests_are_told(void **state)
{
	struct place *p = *state;

	expect_fault(p, FS_LOGS, QUERY("x=y"), 400, "must provide task name");
	expect_fault(p, FS_LOGS, QUERY("task=t"), 400, "must provide log type (stdout/stderr)");
	expect_fault(p, FS_LOGS, QUERY("task=t", "type=weird"), 400, "must provide log type (stdout/stderr)");
	expect_fault(p, FS_LOGS, QUERY("task=t", "type=stdout", "origin=x"), 400, "origin must be start or end");
	expect_fault(p, FS_LOGS, QUERY("task=t", "type=stdout", "offset=x"), 400, "error parsing offset");
	expect_fault(p, FS_LOGS, QUERY("task=t", "type=stdout", "follow=x"), 400,
		     "failed to parse follow field to boolean");
	expect_fault(p, FS_LOGS, QUERY("task=nope", "type=stdout"), 400, "unknown task name \"nope\"");
	expect_fault(p, FS_LOGS, QUERY("task=../t", "type=stdout"), 400, "unknown task name");
	expect_fault(p, FS_LOGS, QUERY("task=alloc", "type=stdout"), 400, "unknown task name");
}

static void a_frame_has_data_file_and_the_offset_behind_it(void **state)
{
	struct place *p = *state;
	struct fs_query q;
	struct fs_reader r;
	struct buf b = {0};
	char data[64];
	size_t n;

	assert_int_equal(fs_query_parse(FS_LOGS, get, QUERY("task=t", "type=stdout"), &q, &p->fault), 0);
	assert_int_equal(fs_reader_open(&r, p->alloc, FS_LOGS, &q, &p->fault), 0);
	assert_int_equal(fs_reader_next(&r, data, sizeof(data), &n), FS_DATA);
	fs_frame_encode(&r, FS_DATA, data, n, &b);
	assert_string_equal(buf_text(&b),
			    "{\"Offset\":10,\"Data\":\"b3V0MQpvdXQyCg==\",\"File\":\"alloc/logs/t.stdout.0\"}");
	assert_int_equal(fs_reader_next(&r, data, sizeof(data), &n), FS_END);
	b.len = 0;
	fs_frame_encode(&r, FS_WAIT, NULL, 0, &b);
	assert_string_equal(buf_text(&b), "{}");
	buf_close(&b);
	fs_reader_close(&r);
}

static void rotated_files_read_as_one(void **state)
{
	struct place *p = *state;

	put_text(p, "alloc/logs/t.stdout.9", "nine,");
	put_text(p, "alloc/logs/t.stdout.10", "ten,");
	put_text(p, "alloc/logs/t.stdout.12", "twelve");
	put_text(p, "alloc/logs/t.stdout.x", "not a log");
	put_text(p, "alloc/logs/t.stdout.", "not a log");
	put_text(p, "alloc/logs/tt.stdout.0", "another's");
	assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stdout")), "out1\nout2\nnine,ten,twelve");
	assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stdout", "offset=12")), "ne,ten,twelve");
	assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stdout", "origin=end", "offset=8")), "n,twelve");
}

static void expect_next(struct fs_reader *r, enum fs_next want, const char *text)
{
	char data[64];
	size_t n;

	assert_int_equal(fs_reader_next(r, data, sizeof(data), &n), want);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(data, text, n);
}

static void following_a_log_goes_from_file_to_file(void **state)
{
	struct place *p = *state;
	struct fs_query q;
	struct fs_reader r;
	char path[256];

	assert_int_equal(fs_query_parse(FS_LOGS, get, QUERY("task=t", "type=stdout", "follow=true", "origin=end"), &q,
					&p->fault),
			 0);
	assert_int_equal(fs_reader_open(&r, p->alloc, FS_LOGS, &q, &p->fault), 0);
	expect_next(&r, FS_WAIT, "");
	add_text(p, "alloc/logs/t.stdout.0", "more");
	expect_next(&r, FS_DATA, "more");
	expect_next(&r, FS_WAIT, "");
	add_text(p, "alloc/logs/t.stdout.0", "last");
	put_text(p, "alloc/logs/t.stdout.1", "next");
	expect_next(&r, FS_DATA, "last");
	expect_next(&r, FS_DATA, "next");
	/* The writer is faster: what is read is gone already, and so are some of its successors. */
	snprintf(path, sizeof(path), "%s/alloc/logs/t.stdout.0", p->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/alloc/logs/t.stdout.1", p->dir);
	unlink(path);
	expect_next(&r, FS_WAIT, "");
	put_text(p, "alloc/logs/t.stdout.7", "seven");
	expect_next(&r, FS_DATA, "seven");
	expect_next(&r, FS_WAIT, "");
	put_text(p, "alloc/logs/t.stdout.7", "");
	expect_next(&r, FS_WAIT, "");
	add_text(p, "alloc/logs/t.stdout.7", "anew");
	expect_next(&r, FS_DATA, "anew");
	fs_reader_close(&r);
}

static void following_a_file_tells_of_its_fate(void **state)
{
	struct place *p = *state;
	struct fs_query q;
	struct fs_reader r;
	char path[256];
	struct buf b = {0};

	assert_int_equal(fs_query_parse(FS_STREAM, get, QUERY("path=t/local/ready"), &q, &p->fault), 0);
	assert_true(q.follow);
	assert_int_equal(fs_reader_open(&r, p->alloc, FS_STREAM, &q, &p->fault), 0);
	expect_next(&r, FS_DATA, "done\n");
	expect_next(&r, FS_WAIT, "");
	put_text(p, "t/local/ready", "x");
	expect_next(&r, FS_EVENT, "");
	assert_string_equal(r.event, "file truncated");
	fs_frame_encode(&r, FS_EVENT, NULL, 0, &b);
	assert_string_equal(buf_text(&b), "{\"File\":\"t/local/ready\",\"FileEvent\":\"file truncated\"}");
	buf_close(&b);
	expect_next(&r, FS_DATA, "x");
	expect_next(&r, FS_WAIT, "");
	snprintf(path, sizeof(path), "%s/t/local/ready", p->dir);
	unlink(path);
	expect_next(&r, FS_EVENT, "");
	assert_string_equal(r.event, "file deleted");
	expect_next(&r, FS_END, "");
	fs_reader_close(&r);
}

/* Any offset from either end gives the same as cutting the whole. */
static void random_offsets_cut_the_whole(void **state)
{
	struct place *p = *state;
	unsigned seed = (unsigned)time(NULL);
	char whole[2048];
	char name[64];
	char text[64];
	char offset[32];
	size_t n = 0;
	size_t k;
	int i;

	printf("seed %u\n", seed);
	srand(seed);
	put_text(p, "alloc/logs/t.stdout.0", "");
	for (i = 0; i < 40; i++) {
		for (k = 0; k < (size_t)rand() % 60; k++) {
			text[k] = (char)('a' + rand() % 26);
		}
		text[k] = '\0';
		snprintf(name, sizeof(name), "alloc/logs/t.stdout.%d", i);
		put_text(p, name, text);
		n += (size_t)snprintf(whole + n, sizeof(whole) - n, "%s", text);
	}
	for (i = 0; i < 200; i++) {
		k = (size_t)rand() % (n + 10);
		snprintf(offset, sizeof(offset), "offset=%zu", k);
		assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stdout", offset)),
				    k < n ? whole + k : "");
		assert_string_equal(read_all(p, FS_LOGS, QUERY("task=t", "type=stdout", "origin=end", offset)),
				    k < n ? whole + n - k : whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(listings_tell_names_types_and_sizes),
		T(stat_tells_one),
		T(files_are_read_whole_and_in_part),
		T(paths_do_not_leave_the_allocation),
		T(secrets_are_not_read),
		T(pipes_and_devices_are_not_read),
		T(odd_names_make_valid_text),
		T(logs_are_read_from_either_end),
		T(faults_of_log_requests_are_told),
		T(a_frame_has_data_file_and_the_offset_behind_it),
		T(rotated_files_read_as_one),
		T(following_a_log_goes_from_file_to_file),
		T(following_a_file_tells_of_its_fate),
		T(random_offsets_cut_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
