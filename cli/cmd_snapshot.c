/* Backups of a cluster's state: operator snapshot save, restore, inspect. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/table.h"
#include "raft/archive.h"

/* ---- files ---- */

struct file {
	FILE *in;
	char room[65536];
};

static size_t next_of_file(void *ctx, const void **data)
{
	struct file *f = ctx;

	*data = f->room;
	return fread(f->room, 1, sizeof(f->room), f->in);
}

/* Read it to its end. False, with a word on stderr, unless all checksums are right. */
static bool check_file(const char *path, uint64_t *index)
{
	struct file f = {.in = fopen(path, "rb")};
	const char *why = "";
	int rc;

	if (f.in == NULL) {
		fprintf(stderr, "Error opening %s: %s\n", path, strerror(errno));
		return false;
	}
	rc = archive_verify(next_of_file, &f, index, &why);
	fclose(f.in);
	if (rc != 0) {
		fprintf(stderr, "Error reading %s: %s\n", path, why);
	}
	return rc == 0;
}

/* ---- save ---- */

static bool is_on_disk(FILE *out)
{
	bool good = fflush(out) == 0 && fsync(fileno(out)) == 0;

	return fclose(out) == 0 && good;
}

/* It gets its name when it is whole, on the disk, and has been read back. */
static bool save_to(struct client *c, const char *path, const char *unverified)
{
	FILE *out = fopen(unverified, "wbx");
	uint64_t index = 0;
	bool good;

	if (out == NULL) {
		fprintf(stderr, "Error creating %s: %s\n", unverified, strerror(errno));
		return false;
	}
	c->stream = out;
	client_url(c, "/v1/operator/snapshot");
	good = client_ok(c, "saving snapshot", "GET", NULL, 0);
	c->stream = NULL;
	if (!is_on_disk(out) && good) {
		fprintf(stderr, "Error writing %s: %s\n", unverified, strerror(errno));
		good = false;
	}
	good = good && check_file(unverified, &index);
	if (good && rename(unverified, path) != 0) {
		fprintf(stderr, "Error renaming %s: %s\n", unverified, strerror(errno));
		good = false;
	}
	if (!good) {
		unlink(unverified);
	}
	return good;
}

static const char *default_name(struct arena *mem)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[32];

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);
	return arena_printf(mem, "nomad-state-%s.snap", text);
}

static int run_save(struct args *args)
{
	const char *path = args->n_rest > 0 ? args->rest[0] : default_name(args->mem);
	const char *unverified = path != NULL ? arena_printf(args->mem, "%s.unverified", path) : NULL;
	struct client c;
	bool good;

	if (unverified == NULL || !client_init(&c, args)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "stale")) {
		fprintf(stderr, "-stale has no effect: a snapshot is made by the leader\n");
	}
	good = save_to(&c, path, unverified);
	if (good) {
		printf("State file written to %s\n", path);
	}
	client_close(&c);
	return good ? EXIT_OK : EXIT_ERROR;
}

static const struct flag save_flags[] = {{"stale", NULL, "Has no effect; taken for Nomad's sake."}, {NULL, NULL, NULL}};

const struct command command_operator_snapshot_save = {
	.name = "operator snapshot save",
	.usage = "[options] [FILE]",
	.summary = "Save the state of the servers to a file",
	.details = "The file gets its name when it is complete and has been read back. Without FILE it is "
		   "nomad-state-TIME.snap in the working directory.",
	.flags = save_flags,
	.api = true,
	.max = 1,
	.run = run_save,
};

/* ---- restore ---- */

static bool read_whole(const char *path, struct buf *out)
{
	FILE *in = fopen(path, "rb");
	char part[65536];
	size_t n;
	bool good;

	if (in == NULL) {
		fprintf(stderr, "Error opening %s: %s\n", path, strerror(errno));
		return false;
	}
	while ((n = fread(part, 1, sizeof(part), in)) > 0) {
		buf_put(out, part, n);
	}
	good = !ferror(in) && !out->failed;
	if (!good) {
		fprintf(stderr, "Error reading %s: %s\n", path, out->failed ? "out of memory" : strerror(errno));
	}
	fclose(in);
	return good;
}

static int run_restore(struct args *args)
{
	struct buf body = {0};
	uint64_t index = 0;
	struct client c;
	bool good;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	client_url(&c, "/v1/operator/snapshot");
	good = check_file(args->rest[0], &index) && read_whole(args->rest[0], &body) &&
	       client_ok(&c, "restoring snapshot", "PUT", body.at, body.len);
	if (good) {
		printf("Snapshot Restored, as of index %llu; the cluster goes on at index %lld\n",
		       (unsigned long long)index, (long long)c.index);
	}
	buf_close(&body);
	client_close(&c);
	return good ? EXIT_OK : EXIT_ERROR;
}

const struct command command_operator_snapshot_restore = {
	.name = "operator snapshot restore",
	.usage = "[options] FILE",
	.summary = "Put a saved state in place of the servers' own",
	.details = "All servers take it at the same moment, or none does: a damaged file is refused and changes "
		   "nothing. What was done since the file was saved is lost; tasks that the restored state does not know are "
		   "stopped. Indexes go on above those of both states.",
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_restore,
};

/* ---- inspect ---- */

static void show(struct arena *mem, const struct archive_info *info, long size)
{
	const char *hash = arena_printf(mem, "%016llx", (unsigned long long)info->hash);
	struct table t = {0};

	table_row(&t, "Size", format_int(mem, size));
	table_row(&t, "Index", format_int(mem, (int64_t)info->index));
	table_row(&t, "Hash", hash != NULL ? hash : "");
	table_print_pairs(&t, stdout);
	printf("\n");
	table_row(&t, "Table", "Rows", "Index");
	for (unsigned i = 0; i < info->n_tables; i++) {
		table_row(&t, info->tables[i].name, format_int(mem, (int64_t)info->tables[i].rows),
			  format_int(mem, (int64_t)info->tables[i].index));
	}
	table_print(&t, stdout);
}

/* All of it is loaded, as a server would: what this shows can be restored. */
static int inspect(struct args *args, FILE *in)
{
	struct file f = {.in = in};
	struct archive_info info;
	const char *why = "";

	if (archive_inspect(next_of_file, &f, &info, &why) != 0) {
		fprintf(stderr, "Error reading %s: %s\n", args->rest[0], why);
		return EXIT_ERROR;
	}
	show(args->mem, &info, ftell(in));
	return EXIT_OK;
}

static int run_inspect(struct args *args)
{
	FILE *in = fopen(args->rest[0], "rb");
	int code;

	if (in == NULL) {
		fprintf(stderr, "Error opening %s: %s\n", args->rest[0], strerror(errno));
		return EXIT_ERROR;
	}
	code = inspect(args, in);
	fclose(in);
	return code;
}

const struct command command_operator_snapshot_inspect = {
	.name = "operator snapshot inspect",
	.usage = "FILE",
	.summary = "Check a saved state, and tell what is in it",
	.min = 1,
	.max = 1,
	.run = run_inspect,
};
