#include "test/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/allocdir.h"
#include "client/beneath.h"
#include "proto/error.h"

static const char id[] = "11111111-2222-3333-4444-555555555555";

struct place {
	char root[64];
	char alloc[128];
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

	snprintf(p.root, sizeof(p.root), "/tmp/drover-test-XXXXXX");
	assert_non_null(mkdtemp(p.root));
	snprintf(p.alloc, sizeof(p.alloc), "%s/%s", p.root, id);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char error[ALLOCDIR_TEXT];

	while (allocdir_destroy(p->root, id, 1000, error) == ERR_BUSY) {
	}
	nftw(p->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static int build(const struct place *p, const char *task, const char *user)
{
	struct allocdir_task tasks[] = {{task, user}, {"other", NULL}};
	struct allocdir_spec spec = {.root = p->root, .alloc_id = id, .tasks = tasks, .tasks_n = 2};
	char error[ALLOCDIR_TEXT] = "";
	int rv = allocdir_build(&spec, error);

	assert_true((rv == 0) == (error[0] == '\0'));
	return rv;
}

static int destroy(const struct place *p)
{
	char error[ALLOCDIR_TEXT] = "";
	int rv;

	while ((rv = allocdir_destroy(p->root, id, 100, error)) == ERR_BUSY) {
	}
	return rv;
}

static mode_t mode_of(const struct place *p, const char *below, uid_t *owner)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", p->alloc, below);
	if (stat(path, &st) != 0) {
		fail_msg("%s is missing", path);
	}
	if (owner != NULL) {
		*owner = st.st_uid;
	}
	return st.st_mode & 07777;
}

static void put_file(const struct place *p, const char *below, size_t size)
{
	char path[512];
	char data[4096];
	int fd;

	memset(data, 'x', sizeof(data));
	snprintf(path, sizeof(path), "%s/%s", p->alloc, below);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	for (; size > 0; size -= size < sizeof(data) ? size : sizeof(data)) {
		assert_true(write(fd, data, size < sizeof(data) ? size : sizeof(data)) > 0);
	}
	close(fd);
}

static void the_layout_is_as_written(void **state)
{
	struct place *p = *state;

	umask(077); /* The agent's umask must not show. */
	assert_int_equal(build(p, "web", NULL), 0);
	umask(022);
	assert_int_equal(mode_of(p, "alloc", NULL), 01777);
	assert_int_equal(mode_of(p, "alloc/data", NULL), 01777);
	assert_int_equal(mode_of(p, "alloc/logs", NULL), 01777);
	assert_int_equal(mode_of(p, "alloc/tmp", NULL), 01777);
	assert_int_equal(mode_of(p, "web", NULL), 01777);
	assert_int_equal(mode_of(p, "web/local", NULL), 0777);
	assert_int_equal(mode_of(p, "web/tmp", NULL), 01777);
	assert_int_equal(mode_of(p, "web/secrets", NULL), 0700);
	assert_int_equal(mode_of(p, "web/private", NULL), 0700);
	assert_int_equal(mode_of(p, "other/local", NULL), 0777);
	/* Again, as after a restart of the agent: nothing is lost. */
	put_file(p, "web/secrets/token", 10);
	assert_int_equal(build(p, "web", NULL), 0);
	assert_int_equal(mode_of(p, "web/secrets/token", NULL), 0644);
}

static void tasks_of_another_user_own_their_places(void **state)
{
	struct place *p = *state;
	struct passwd *nobody = getpwnam("nobody");
	uid_t owner;

	assert_int_equal(build(p, "web", "no-such-user"), ERR_INVALID);
	if (geteuid() != 0) {
		return;
	}
	assert_int_equal(build(p, "web", "nobody"), 0);
	assert_int_equal(mode_of(p, "web/secrets", &owner), 0700);
	assert_int_equal(owner, nobody->pw_uid);
	mode_of(p, "web/local", &owner);
	assert_int_equal(owner, nobody->pw_uid);
	mode_of(p, "web/private", &owner);
	assert_int_equal(owner, 0);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
	struct place *p = *state;
	char error[ALLOCDIR_TEXT];

	assert_int_equal(build(p, "..", NULL), ERR_INVALID);
	assert_int_equal(build(p, "a/b", NULL), ERR_INVALID);
	assert_int_equal(build(p, "alloc", NULL), ERR_INVALID);
	assert_int_equal(build(p, "", NULL), ERR_INVALID);
	assert_true(allocdir_destroy(p->root, "..", 10, error) != 0);
	assert_int_equal(allocdir_open(p->root, "../.."), ERR_NOTFOUND);
	assert_int_equal(allocdir_destroy(p->root, "not-there", 10, error), 0);
}

static void destroying_follows_no_link(void **state)
{
	struct place *p = *state;
	char outside[128];
	char kept[160];
	char link[256];

	assert_int_equal(build(p, "web", NULL), 0);
	snprintf(outside, sizeof(outside), "%s/outside", p->root);
	snprintf(kept, sizeof(kept), "%s/kept", outside);
	assert_int_equal(mkdir(outside, 0755), 0);
	close(open(kept, O_WRONLY | O_CREAT, 0644));
	snprintf(link, sizeof(link), "%s/web/local/link", p->alloc);
	assert_int_equal(symlink(outside, link), 0);
	assert_int_equal(destroy(p), 0);
	assert_int_equal(access(p->alloc, F_OK), -1);
	assert_int_equal(access(kept, F_OK), 0);
}

static void destroying_enters_no_mount(void **state)
{
	struct place *p = *state;
	char outside[128];
	char kept[160];
	char at[256];

	if (geteuid() != 0) {
		skip();
	}
	assert_int_equal(build(p, "web", NULL), 0);
	snprintf(outside, sizeof(outside), "%s/outside", p->root);
	snprintf(kept, sizeof(kept), "%s/kept", outside);
	assert_int_equal(mkdir(outside, 0755), 0);
	close(open(kept, O_WRONLY | O_CREAT, 0644));
	snprintf(at, sizeof(at), "%s/web/local/mount", p->alloc);
	assert_int_equal(mkdir(at, 0755), 0);
	if (mount(outside, at, NULL, MS_BIND, NULL) != 0) {
		skip();
	}
	assert_int_equal(destroy(p), 0);
	assert_int_equal(access(p->alloc, F_OK), -1);
	assert_int_equal(access(kept, F_OK), 0);
}

/* Deeper than any path may be long, and than there are descriptors. */
static void destroying_copes_with_depth(void **state)
{
	struct place *p = *state;
	char path[256];
	int fd;
	int next;
	int i;

	assert_int_equal(build(p, "web", NULL), 0);
	snprintf(path, sizeof(path), "%s/web/local", p->alloc);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	for (i = 0; i < 3000; i++) {
		assert_int_equal(mkdirat(fd, "deep", 0755), 0);
		next = openat(fd, "deep", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_int_equal(destroy(p), 0);
	assert_int_equal(access(p->alloc, F_OK), -1);
}

static void destroying_goes_in_slices(void **state)
{
	struct place *p = *state;
	char error[ALLOCDIR_TEXT];
	char name[64];
	int calls = 1;
	int i;
	int rv;

	assert_int_equal(build(p, "web", NULL), 0);
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "web/local/f%d", i);
		put_file(p, name, 0);
	}
	while ((rv = allocdir_destroy(p->root, id, 50, error)) == ERR_BUSY) {
		calls++;
	}
	assert_int_equal(rv, 0);
	assert_in_range(calls, 10, 25);
	assert_int_equal(access(p->alloc, F_OK), -1);
}

static void unreadable_directories_are_removed_too(void **state)
{
	struct place *p = *state;
	char path[256];

	assert_int_equal(build(p, "web", NULL), 0);
	snprintf(path, sizeof(path), "%s/web/local/closed", p->alloc);
	assert_int_equal(mkdir(path, 0755), 0);
	put_file(p, "web/local/closed/f", 10);
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(destroy(p), 0);
	assert_int_equal(access(p->alloc, F_OK), -1);
}

static void what_cannot_be_removed_is_told_and_does_not_stop_the_rest(void **state)
{
	struct place *p = *state;
	char command[400];
	char error[ALLOCDIR_TEXT] = "";
	char path[256];
	int rv;

	assert_int_equal(build(p, "web", NULL), 0);
	put_file(p, "web/local/a", 10);
	put_file(p, "web/local/fixed", 10);
	put_file(p, "web/local/z", 10);
	snprintf(command, sizeof(command), "chattr +i %s/web/local/fixed 2>/dev/null", p->alloc);
	if (geteuid() != 0 || system(command) != 0) {
		skip();
	}
	while ((rv = allocdir_destroy(p->root, id, 5, error)) == ERR_BUSY) {
	}
	assert_int_equal(rv, ERR_IO);
	assert_non_null(strstr(error, "fixed"));
	snprintf(path, sizeof(path), "%s/web/local/z", p->alloc);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(command, sizeof(command), "chattr -i %s/web/local/fixed", p->alloc);
	assert_int_equal(system(command), 0);
	assert_int_equal(destroy(p), 0);
}

static void use_is_counted(void **state)
{
	struct place *p = *state;
	int64_t before;
	int64_t after;

	assert_int_equal(allocdir_usage(p->root, id, 1000, &before), ERR_NOTFOUND);
	assert_int_equal(build(p, "web", NULL), 0);
	assert_int_equal(allocdir_usage(p->root, id, 1000, &before), 0);
	put_file(p, "web/local/big", 1 << 20);
	put_file(p, "alloc/data/big", 1 << 20);
	sync();
	assert_int_equal(allocdir_usage(p->root, id, 1000, &after), 0);
	assert_in_range(after - before, 2 << 20, (2 << 20) + 65536);
	assert_int_equal(allocdir_usage(p->root, id, 3, &after), ERR_TOOBIG);
}

/* ---- paths beneath a directory ---- */

static void paths_are_cleaned(void **state)
{
	static const struct {
		const char *path;
		const char *clean; /* NULL: leads out. */
	} cases[] = {{"", "."},
		     {"/", "."},
		     {"a", "a"},
		     {"/a//b/", "a/b"},
		     {"./a/./b", "a/b"},
		     {"a/../b", "b"},
		     {"a/b/../../c", "c"},
		     {"..", NULL},
		     {"/../..", NULL},
		     {"a/../..", NULL},
		     {"..a/b..", "..a/b.."},
		     {"../../..", NULL},
		     {"a/..", "."}};
	char out[64];
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].clean == NULL) {
			assert_int_equal(beneath_clean(cases[i].path, out, sizeof(out)), ERR_RANGE);
		} else {
			assert_int_equal(beneath_clean(cases[i].path, out, sizeof(out)), 0);
			assert_string_equal(out, cases[i].clean);
		}
	}
	assert_int_equal(beneath_clean("a/very/long/path", out, 8), ERR_TOOBIG);
}

static void link_at(const struct place *p, const char *below, const char *target)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", p->alloc, below);
	assert_int_equal(symlink(target, path), 0);
}

static void expect_open(int root, const char *path, unsigned how, int error)
{
	int fd = beneath_open(root, path, O_RDONLY, how);

	if (error == 0) {
		if (fd < 0) {
			fail_msg("%s: %d (%u)", path, -fd, how);
		}
		close(fd);
	} else if (fd != -error) {
		fail_msg("%s: %d and not %d (%u)", path, fd, -error, how);
	}
}

static void no_link_leads_out(void **state)
{
	struct place *p = *state;
	unsigned how;
	int root;

	assert_int_equal(build(p, "web", NULL), 0);
	put_file(p, "web/local/f", 5);
	link_at(p, "web/local/inside", "../local/f");
	link_at(p, "web/local/dir", "..");
	link_at(p, "web/local/absolute", "/etc/passwd");
	link_at(p, "web/local/up", "../../../../../../../../etc/passwd");
	link_at(p, "web/local/out", "../../..");
	link_at(p, "web/local/loop", "loop");
	link_at(p, "web/local/gone", "nowhere");
	root = allocdir_open(p->root, id);
	assert_true(root >= 0);
	for (how = 0; how <= BENEATH_BY_HAND; how += BENEATH_BY_HAND) {
		expect_open(root, "web/local/f", how, 0);
		expect_open(root, ".", how, 0);
		expect_open(root, "web//local/./f", how, 0);
		expect_open(root, "web/../web/local/f", how, 0);
		expect_open(root, "web/local/inside", how, 0);
		expect_open(root, "web/local/dir/local/inside", how, 0);
		expect_open(root, "web/local/nope", how, ENOENT);
		expect_open(root, "web/local/gone", how, ENOENT);
		expect_open(root, "web/local/f/x", how, ENOTDIR);
		expect_open(root, "/etc/passwd", how, EXDEV);
		expect_open(root, "..", how, EXDEV);
		expect_open(root, "web/../..", how, EXDEV);
		expect_open(root, "web/local/absolute", how, EXDEV);
		expect_open(root, "web/local/up", how, EXDEV);
		expect_open(root, "web/local/out", how, EXDEV);
		expect_open(root, "web/local/out/outside", how, EXDEV);
		expect_open(root, "web/local/loop", how, ELOOP);
		expect_open(root, "web/local/inside", how | BENEATH_NO_LINKS, ELOOP);
		expect_open(root, "web/local/dir/local/f", how | BENEATH_NO_LINKS, ELOOP);
		expect_open(root, "web/local/f", how | BENEATH_NO_LINKS, 0);
	}
	close(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(the_layout_is_as_written),
		T(tasks_of_another_user_own_their_places),
		T(names_that_lead_elsewhere_are_refused),
		T(destroying_follows_no_link),
		T(destroying_enters_no_mount),
		T(destroying_copes_with_depth),
		T(destroying_goes_in_slices),
		T(unreadable_directories_are_removed_too),
		T(what_cannot_be_removed_is_told_and_does_not_stop_the_rest),
		T(use_is_counted),
		cmocka_unit_test(paths_are_cleaned),
		T(no_link_leads_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
