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
#include "client/artifact_git.h"
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

static int data_unpacked(const struct member *members, size_t n)
{
	int fd = packed(members, n);
	int rc = unpack_data(fd, root, why, sizeof(why));

	close(fd);
	return rc;
}

/* From another node: links are the tasks' business, but nothing goes where the agent has its own. */
static void data_of_another_node_goes_where_data_is(void **state)
{
	static const struct member good[] = {{"alloc/data/d/", AE_IFDIR, NULL, false}, {"alloc/data/d/f", AE_IFREG, "x", false},
	                                     {"t/local/l", AE_IFLNK, "/etc", false}};
	static const struct member bad[][2] = {
	        {{"t/private/x.exit", AE_IFREG, "x", false}, {"t/local/x", AE_IFREG, "", false}},
	        {{"t/secrets/x", AE_IFREG, "x", false}, {"t/local/x", AE_IFREG, "", false}},
	        {{"alloc/logs/x", AE_IFREG, "x", false}, {"t/local/x", AE_IFREG, "", false}},
	        {{"alloc/data/../../x", AE_IFREG, "x", false}, {"t/local/x", AE_IFREG, "", false}},
	        {{"t/local/x", AE_IFREG, "x", false}, {"t/local/h", AE_IFREG, "t/secrets/x", true}},
	        {{"t/local/m", AE_IFLNK, "/tmp", false}, {"t/local/m/x", AE_IFREG, "x", false}},
	};
	struct stat st;
	size_t i;

	(void)state;
	assert_int_equal(data_unpacked(good, 3), 0);
	assert_content("alloc/data/d/f", "x");
	assert_int_equal(fstatat(root, "alloc/data/d/f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(data_unpacked(bad[i], 2) < 0);
	}
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

static void a_directory_of_an_archive_is_all_that_is_unpacked(void **state)
{
	static const struct member members[] = {{"pkg-1.0/bin/tool", AE_IFREG, "run", false},
	                                        {"pkg-1.0/readme", AE_IFREG, "read me", false}};
	char source[160];

	(void)state;
	close(packed(members, 2));
	snprintf(source, sizeof(source), "file://%s/packed.tgz//pkg-1.0/bin", dir);
	assert_int_equal(fetch(source, "any", NULL, 0), 0);
	assert_content("t/local/tool", "run");
	assert_null(content("t/local/readme"));
	snprintf(source, sizeof(source), "file://%s/packed.tgz//pkg-1.0/lib?archive=tgz", dir);
	assert_int_equal(fetch(source, "any", NULL, 0), ERR_INVALID);
	assert_non_null(strstr(why, "pkg-1.0/lib"));
	assert_no_leftovers();
}

static void write_text(const char *path, const char *text)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void a_checksum_may_stand_in_a_list(void **state)
{
	static const char hex[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
	static const char *const lists[] = {"%s\n", "0000  other\n%s  f\n", "# sums\n%s *./f\n", "SHA256 (f) = %s\n"};
	char text[256];
	char source[256];
	size_t i;

	(void)state;
	write_text("f", "hello");
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof(text), lists[i], hex);
#pragma GCC diagnostic pop
		write_text("sums", text);
		snprintf(source, sizeof(source), "file://%s/f?checksum=file:file://%s/sums", dir, dir);
		if (fetch(source, "any", NULL, 0) != 0) {
			fail_msg("%s: %s", text, why);
		}
	}
	write_text("sums", "0000  other\n");
	assert_int_equal(fetch(source, "any", NULL, 0), ERR_INVALID);
	write_text("sums", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9825  f\n");
	assert_int_equal(fetch(source, "any", NULL, 0), ERR_IO);
	snprintf(source, sizeof(source), "file://%s/f?checksum=%s", dir, hex);
	assert_int_equal(fetch(source, "any", NULL, 0), 0);
	snprintf(source, sizeof(source), "file://%s/f?checksum=5d41402abc4b2a76b9719d911017c592", dir);
	assert_int_equal(fetch(source, "any", NULL, 0), 0);
	assert_no_leftovers();
}

/* ---- repositories ---- */

static bool shell(const char *script)
{
	char command[2048];

	snprintf(command, sizeof(command),
	         "cd %s && export HOME=/nonexistent GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b "
	         "GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b && { %s; } >/dev/null 2>&1",
	         dir, script);
	return system(command) == 0;
}

static void make_repository(void)
{
	if (!shell("git --version")) {
		skip();
	}
	assert_true(shell("git init -q -b main repo.git && cd repo.git && mkdir sub && echo -n one >sub/f && git add . && "
	                  "git commit -qm 1 && git tag v1 && echo -n two >sub/f && git commit -qam 2"));
}

static int get_clone(const char *rest)
{
	char source[256];

	snprintf(source, sizeof(source), "git::file://%s/repo.git%s", dir, rest);
	return fetch(source, "any", NULL, 0);
}

static void a_repository_is_cloned_at_a_ref(void **state)
{
	(void)state;
	make_repository();
	assert_int_equal(get_clone(""), 0);
	assert_content("t/local/sub/f", "two");
	assert_int_equal(get_clone("?ref=v1"), 0);
	assert_content("t/local/sub/f", "one");
	assert_int_equal(get_clone("//sub?ref=main&depth=1"), 0);
	assert_content("t/local/f", "two");
	assert_int_equal(get_clone("?ref=none"), ERR_IO);
	assert_non_null(strstr(why, "none"));
	assert_int_equal(get_clone("?ref=--upload-pack=touch"), ERR_INVALID);
	assert_int_equal(get_clone("//none"), ERR_INVALID);
	assert_no_leftovers();
}

static void no_link_of_a_repository_leads_out(void **state)
{
	(void)state;
	make_repository();
	assert_true(shell("cd repo.git && ln -s sub/f good && git add . && git commit -qm 3"));
	assert_int_equal(get_clone(""), 0);
	assert_true(shell("cd repo.git && ln -s ../../../etc/passwd sub/bad && git add . && git commit -qm 4"));
	assert_int_equal(get_clone("?ref=main"), ERR_INVALID);
	assert_non_null(strstr(why, "sub/bad"));
	assert_null(content("t/local/sub/bad"));
	assert_no_leftovers();
}

static void a_hook_of_the_source_is_not_run(void **state)
{
	(void)state;
	make_repository();
	assert_true(shell("cd repo.git && printf '#!/bin/sh\ntouch ../ran\n' >.git/hooks/post-checkout && "
	                  "chmod +x .git/hooks/post-checkout && git config core.fsmonitor 'touch ../ran'"));
	assert_int_equal(get_clone(""), 0);
	assert_null(content("ran"));
}

static void repositories_are_known_without_a_url(void **state)
{
	static const char *const cases[][2] = {
	        {"github.com/org/name", "https://github.com/org/name.git"},
	        {"github.com/org/name.git?ref=x", "https://github.com/org/name.git?ref=x"},
	        {"gitlab.com/org/name/sub/dir?ref=x", "https://gitlab.com/org/name.git//sub/dir?ref=x"},
	        {"bitbucket.org/org/name//sub", "https://bitbucket.org/org/name.git//sub"},
	        {"git@example.com:org/name.git", "git@example.com:org/name.git"},
	};
	char out[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(git_detect(cases[i][0], out, sizeof(out)));
		assert_string_equal(out, cases[i][1]);
	}
	assert_false(git_detect("example.com/org/name", out, sizeof(out)));
	assert_false(git_detect("github.com/org/name", out, 10));
}

static void what_is_shown_of_a_source_is_no_secret(void **state)
{
	static const char *const cases[][2] = {
		{"http://host/path/file.tar.gz", "http://host/path/file.tar.gz"},
		{"https://user:pass@host:8080/path", "https://...@host:8080/path"},
		{"git::https://tok%40en@host/x.git//sub?ref=a", "git::https://...@host/x.git//sub?..."},
		{"https://bucket/x?Signature=abc", "https://bucket/x?..."},
		{"http://a:b@c:d@host/e@f", "http://...@host/e@f"},
		{"git@example.com:org/name.git", "git@example.com:org/name.git"},
		{"http://u:p/w@host", "http://u:p/w@host"}, /* No user: the host is "u". */
		{"file:///x@y", "file:///x@y"},
		{"", ""},
	};
	char out[ARTIFACT_SHOWN];
	char big[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		artifact_shown(cases[i][0], out);
		assert_string_equal(out, cases[i][1]);
	}
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	artifact_shown(big, out);
	assert_true(strlen(out) < ARTIFACT_SHOWN);
}

static void nonsense_is_refused_for_good(void **state)
{
	static const char *const sources[] = {"", "git::https://127.0.0.1:1/x.git?sshkey=x", "s3://bucket/x", "git::file:///x?depth=x",
	                                      "http://127.0.0.1:1/a.tgz//../..", "http://127.0.0.1:1/x?checksum=file:x",
	                                      "/etc/passwd",
	                                      "http://127.0.0.1:1/", "http://127.0.0.1:1/x?checksum=md5:12",
	                                      "http://127.0.0.1:1/x?archive=rar", "http://127.0.0.1:1/x?filename=../y"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		int rc = fetch(sources[i], "any", NULL, 0);

		if (rc != ERR_INVALID && strstr(sources[i], "archive=rar") == NULL) {
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
	        T(data_of_another_node_goes_where_data_is),
	        T(links_of_an_archive_are_not_written_through),
	        T(what_is_no_archive_is_refused),
	        T(kinds_are_known_by_their_names),
	        T(a_file_keeps_its_name_and_options_are_sent),
	        T(mode_file_names_the_file),
	        T(a_wrong_checksum_leaves_nothing),
	        T(a_passing_failure_is_tried_again),
	        T(a_missing_file_is_told),
	        T(an_archive_that_is_fetched_is_unpacked),
	        T(a_directory_of_an_archive_is_all_that_is_unpacked),
	        T(a_checksum_may_stand_in_a_list),
	        T(a_repository_is_cloned_at_a_ref),
	        T(no_link_of_a_repository_leads_out),
	        T(a_hook_of_the_source_is_not_run),
	        T(repositories_are_known_without_a_url),
	        T(what_is_shown_of_a_source_is_no_secret),
	        T(nonsense_is_refused_for_good),
	        T(nobody_there_is_a_failure_that_may_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
