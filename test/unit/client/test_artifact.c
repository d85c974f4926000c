#include "test/unit/unit.h"

#include <archive.h>
#include <archive_entry.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/artifact.h"
#include "client/place.h"
#include "client/unpack.h"
#include "client/vars.h"
#include "proto/error.h"

static char dir[64];
static int root;
static char why[ARTIFACT_WHY];
static atomic_bool canceled;

static int make(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/drover-artifact-XXXXXX");
	assert_non_null(mkdtemp(dir));
	root = open(dir, O_RDONLY | O_DIRECTORY);
	canceled = false;
	return root < 0;
}

static int release(void **state)
{
	char command[128];

	(void)state;
	close(root);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static const char *content(const char *path)
{
	static char text[256];
	int fd = openat(root, path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0) {
		close(fd);
	}
	if (n < 0) {
		return NULL;
	}
	text[n] = '\0';
	return text;
}

static void assert_content(const char *path, const char *want)
{
	const char *got = content(path);

	if (got == NULL) {
		fail_msg("%s is not there", path);
	}
	assert_string_equal(got, want);
}

static void put(const char *path, const char *text)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Nothing half done is left behind. */
static void assert_no_leftovers(void)
{
	char command[128];

	snprintf(command, sizeof(command), "test -z \"$(find %s -name '.drover-*')\"", dir);
	assert_int_equal(system(command), 0);
}

/* ---- places ---- */

static void paths_stay_in_the_directory(void **state)
{
	static const char *const good[][2] = {
	        {"local/x", "t/local/x"},     {"/local/x", "t/local/x"},   {"../alloc/x", "alloc/x"},
	        {"/alloc/data", "alloc/data"}, {"/r/id/t/local/y", "t/local/y"}, {"a/./b//c", "t/a/b/c"},
	        {"", "t"},                    {"/r/idx", "t/r/idx"},
	};
	static const char *const bad[] = {"../../x", "/alloc/../../x", "/r/id/../x", "private/x", "/private",
	                                  "../u/private/x", "local/../private/x"};
	char out[PLACE_PATH];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(place_path("/r/id", "t", good[i][0], out), 0);
		assert_string_equal(out, good[i][1]);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(place_path("/r/id", "t", bad[i], out), ERR_INVALID);
	}
}

static void a_file_is_placed_as_a_whole_and_no_link_is_followed(void **state)
{
	struct place_owner owner = {.mode = 0640, .uid = -1, .gid = -1};
	char text[PLACE_WHY];
	struct stat st;

	(void)state;
	assert_int_equal(place_file(root, "a/b/c", "one", 3, &owner, text), 0);
	assert_int_equal(place_file(root, "a/b/c", "two", 3, &owner, text), 0);
	assert_content("a/b/c", "two");
	assert_int_equal(fstatat(root, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(symlinkat("/tmp", root, "out"), 0);
	assert_true(place_file(root, "out/x", "no", 2, &owner, text) < 0);
	assert_int_equal(symlinkat("/tmp/drover-must-not-be", root, "link"), 0);
	assert_int_equal(place_file(root, "link", "mine", 4, &owner, text), 0);
	assert_content("link", "mine");
	assert_int_equal(access("/tmp/drover-must-not-be", F_OK), -1);
	assert_int_equal(place_file(root, "a/b", "no", 2, &owner, text), ERR_IO);
	assert_non_null(strstr(text, "a/b: "));
	assert_no_leftovers();
}

/* ---- archives ---- */

struct member {
	const char *path;
	mode_t type;
	const char *content; /* Or where a link leads. */
	bool hard;
};

static int packed(const struct member *members, size_t n)
{
	struct archive *a = archive_write_new();
	int fd = openat(root, "packed.tgz", O_RDWR | O_CREAT | O_TRUNC, 0600);
	size_t i;

	archive_write_set_format_pax_restricted(a);
	archive_write_add_filter_gzip(a);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (i = 0; i < n; i++) {
		struct archive_entry *e = archive_entry_new();

		archive_entry_set_pathname(e, members[i].path);
		archive_entry_set_filetype(e, members[i].type);
		archive_entry_set_perm(e, 04755);
		if (members[i].hard) {
			archive_entry_set_hardlink(e, members[i].content);
		} else if (members[i].type == AE_IFLNK) {
			archive_entry_set_symlink(e, members[i].content);
		} else if (members[i].type == AE_IFREG) {
			archive_entry_set_size(e, (la_int64_t)strlen(members[i].content));
		}
		assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
		if (members[i].type == AE_IFREG && !members[i].hard) {
			archive_write_data(a, members[i].content, strlen(members[i].content));
		}
		archive_entry_free(e);
	}
	archive_write_close(a);
	archive_write_free(a);
	return fd;
}

static int unpacked(const struct member *members, size_t n)
{
	int fd = packed(members, n);
	int to;
	int rc;

	(void)mkdirat(root, "to", 0755);
	to = openat(root, "to", O_RDONLY | O_DIRECTORY);
	rc = unpack(fd, UNPACK_MANY, "packed.tgz", to, why, sizeof(why));
	close(to);
	close(fd);
	return rc;
}

static void an_archive_is_unpacked(void **state)
{
	static const struct member members[] = {
	        {"d/", AE_IFDIR, NULL, false},          {"d/f", AE_IFREG, "hello", false},
	        {"./e/g", AE_IFREG, "deep", false},     {"d/l", AE_IFLNK, "../e/g", false},
	        {"hard", AE_IFREG, "d/f", true},        {"d/f2", AE_IFREG, "", false},
	};
	struct stat st;

	(void)state;
	assert_int_equal(unpacked(members, 6), 0);
	assert_content("to/d/f", "hello");
	assert_content("to/e/g", "deep");
	assert_content("to/d/l", "deep");
	assert_content("to/hard", "hello");
	assert_int_equal(fstatat(root, "to/d/f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755); /* No set-user-ID bit. */
}

static void nothing_in_an_archive_leads_out(void **state)
{
	static const struct member bad[][2] = {
	        {{"../evil", AE_IFREG, "x", false}, {"x", AE_IFREG, "", false}},
	        {{"/tmp/drover-evil", AE_IFREG, "x", false}, {"x", AE_IFREG, "", false}},
	        {{"l", AE_IFLNK, "../..", false}, {"x", AE_IFREG, "", false}},
	        {{"l", AE_IFLNK, "/etc", false}, {"x", AE_IFREG, "", false}},
	        {{"ok", AE_IFREG, "x", false}, {"h", AE_IFREG, "../packed.tgz", true}},
	        {{"dev", AE_IFIFO, NULL, false}, {"x", AE_IFREG, "", false}},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(unpacked(bad[i], 2), ERR_INVALID);
	}
	assert_null(content("evil"));
	assert_int_equal(access("/tmp/drover-evil", F_OK), -1);
}

/* An archive may make a link and then write through it: the link is inside, but so must be the way. */
static void links_of_an_archive_are_not_written_through(void **state)
{
	static const struct member members[] = {
	        {"real/", AE_IFDIR, NULL, false}, {"l", AE_IFLNK, "real", false}, {"l/f", AE_IFREG, "x", false}};

	(void)state;
	assert_true(unpacked(members, 3) < 0);
	assert_null(content("to/real/f"));
}

static void what_is_no_archive_is_refused(void **state)
{
	int fd;

	(void)state;
	put("garbage", "this is not an archive, and long enough to tell");
	fd = openat(root, "garbage", O_RDONLY);
	assert_int_equal(unpack(fd, UNPACK_MANY, "x.tar.gz", root, why, sizeof(why)), ERR_INVALID);
	assert_string_not_equal(why, "");
	close(fd);
}

static void kinds_are_known_by_their_names(void **state)
{
	(void)state;
	assert_int_equal(unpack_kind("a.tar.gz"), UNPACK_MANY);
	assert_int_equal(unpack_kind("a.TGZ"), UNPACK_MANY);
	assert_int_equal(unpack_kind("zip"), UNPACK_MANY);
	assert_int_equal(unpack_kind("log.gz"), UNPACK_ONE);
	assert_int_equal(unpack_kind("gzip"), UNPACK_NOTHING);
	assert_int_equal(unpack_kind("binary"), UNPACK_NOTHING);
	assert_int_equal(unpack_kind("notzip"), UNPACK_NOTHING);
}

/* ---- fetching ---- */

/* A server for a few requests: answers each with the next of `answers`, and remembers what was asked. */
struct server {
	int fd;
	pthread_t thread;
	char url[64];
	const char *const *answers; /* Closed by NULL. */
	char asked[2048];
};

static void *serve(void *arg)
{
	struct server *s = arg;
	size_t i;

	for (i = 0; s->answers[i] != NULL; i++) {
		int c = accept(s->fd, NULL, NULL);
		ssize_t n;

		if (c < 0) {
			break;
		}
		n = read(c, s->asked, sizeof(s->asked) - 1);
		s->asked[n > 0 ? n : 0] = '\0';
		(void)!write(c, s->answers[i], strlen(s->answers[i]));
		close(c);
	}
	return NULL;
}

static void server_start(struct server *s, const char *const *answers)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	*s = (struct server){.fd = socket(AF_INET, SOCK_STREAM, 0), .answers = answers};
	assert_int_equal(bind(s->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&in, &len), 0);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(in.sin_port));
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static int fetch(const char *source, const char *mode, struct pair *options, uint32_t n)
{
	struct map map = {options, n};
	struct pair header[] = {{"X-Test", "yes"}};
	struct map headers = {header, 1};
	struct artifact_args args = {.root = root,
	                             .path = "t/local",
	                             .source = source,
	                             .options = &map,
	                             .headers = &headers,
	                             .mode = mode,
	                             .canceled = &canceled};

	return artifact_fetch(&args, why);
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
#define SHA256_HELLO "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static void a_file_keeps_its_name_and_options_are_sent(void **state)
{
	static const char *const answers[] = {OK_HELLO, NULL};
	struct pair options[] = {{"checksum", SHA256_HELLO}, {"token", "a b"}};
	struct server s;
	char source[128];

	(void)state;
	server_start(&s, answers);
	snprintf(source, sizeof(source), "%s/x/tool.bin?v=1&archive=false", s.url);
	assert_int_equal(fetch(source, "any", options, 2), 0);
	server_stop(&s);
	assert_content("t/local/tool.bin", "hello");
	assert_non_null(strstr(s.asked, "GET /x/tool.bin?v=1&token=a%20b HTTP"));
	assert_non_null(strstr(s.asked, "X-Test: yes"));
	assert_no_leftovers();
}

static void mode_file_names_the_file(void **state)
{
	static const char *const answers[] = {OK_HELLO, NULL};
	struct server s;
	char source[128];

	(void)state;
	server_start(&s, answers);
	snprintf(source, sizeof(source), "%s/tool.bin", s.url);
	assert_int_equal(fetch(source, "file", NULL, 0), 0);
	server_stop(&s);
	assert_content("t/local", "hello");
}

static void a_wrong_checksum_leaves_nothing(void **state)
{
	static const char *const answers[] = {OK_HELLO, NULL};
	struct pair options[] = {{"checksum", "md5:00000000000000000000000000000000"}};
	struct server s;
	char source[128];

	(void)state;
	server_start(&s, answers);
	snprintf(source, sizeof(source), "%s/tool.bin", s.url);
	assert_int_equal(fetch(source, "any", options, 1), ERR_IO);
	server_stop(&s);
	assert_non_null(strstr(why, "checksums did not match: got 5d41402abc4b2a76b9719d911017c592"));
	assert_null(content("t/local/tool.bin"));
	assert_no_leftovers();
}

static void a_passing_failure_is_tried_again(void **state)
{
	static const char *const answers[] = {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "",
	                                      OK_HELLO, NULL};
	struct server s;
	char source[128];

	(void)state;
	server_start(&s, answers);
	snprintf(source, sizeof(source), "%s/f", s.url);
	assert_int_equal(fetch(source, "any", NULL, 0), 0);
	server_stop(&s);
	assert_content("t/local/f", "hello");
}

static void a_missing_file_is_told(void **state)
{
	static const char *const answers[] = {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", NULL};
	struct server s;
	char source[128];

	(void)state;
	server_start(&s, answers);
	snprintf(source, sizeof(source), "%s/f", s.url);
	assert_int_equal(fetch(source, "any", NULL, 0), ERR_IO);
	server_stop(&s);
	assert_non_null(strstr(why, "404"));
}

static void an_archive_that_is_fetched_is_unpacked(void **state)
{
	static const struct member members[] = {{"bin/tool", AE_IFREG, "run", false}};
	char source[128];

	(void)state;
	close(packed(members, 1));
	snprintf(source, sizeof(source), "file://%s/packed.tgz", dir);
	assert_int_equal(fetch(source, "any", NULL, 0), 0);
	assert_content("t/local/bin/tool", "run");
	assert_no_leftovers();
}

static void nonsense_is_refused_for_good(void **state)
{
	static const char *const sources[] = {"", "git::https://example.com/x.git", "s3://bucket/x", "/etc/passwd",
	                                      "http://127.0.0.1:1/", "http://127.0.0.1:1/x?checksum=md5:12",
	                                      "http://127.0.0.1:1/x?archive=rar", "http://127.0.0.1:1/x?filename=../y"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		int rc = fetch(sources[i], "any", NULL, 0);

		if (rc != ERR_INVALID && i != 6) {
			fail_msg("%s: %d %s", sources[i], rc, why);
		}
	}
}

static void nobody_there_is_a_failure_that_may_pass(void **state)
{
	(void)state;
	assert_int_equal(fetch("http://127.0.0.1:1/none.tar.gz", "any", NULL, 0), ERR_IO);
	assert_string_not_equal(why, "");
	assert_no_leftovers();
}

#define T(test) cmocka_unit_test_setup_teardown(test, make, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(paths_stay_in_the_directory),
	        T(a_file_is_placed_as_a_whole_and_no_link_is_followed),
	        T(an_archive_is_unpacked),
	        T(nothing_in_an_archive_leads_out),
	        T(links_of_an_archive_are_not_written_through),
	        T(what_is_no_archive_is_refused),
	        T(kinds_are_known_by_their_names),
	        T(a_file_keeps_its_name_and_options_are_sent),
	        T(mode_file_names_the_file),
	        T(a_wrong_checksum_leaves_nothing),
	        T(a_passing_failure_is_tried_again),
	        T(a_missing_file_is_told),
	        T(an_archive_that_is_fetched_is_unpacked),
	        T(nonsense_is_refused_for_good),
	        T(nobody_there_is_a_failure_that_may_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
