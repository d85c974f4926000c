/* What the object codec does per second, on a job of ordinary make. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/job.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_task(struct buf *b, int t)
{
	int e;

	buf_printf(b,
		   "%s{\"Name\":\"task-%d\",\"Driver\":\"raw_exec\",\"User\":\"nobody\",\"Config\":{\"args\":[\"--"
		   "config\",\"/local/app.conf\","
		   "\"--listen\",\"0.0.0.0:%d\"],\"command\":\"/usr/bin/app\"},\"Env\":{",
		   t > 0 ? "," : "", t, 8000 + t);
	for (e = 0; e < 8; e++) {
		buf_printf(b, "%s\"APP_SETTING_%d\":\"value-%d of the setting, \\\"quoted\\\"\"", e > 0 ? "," : "", e,
			   e * 31);
	}
	buf_printf(b,
		   "},\"Resources\":{\"CPU\":%d,\"Cores\":0,\"MemoryMB\":%d,\"DiskMB\":0},\"KillTimeout\":5000000000,"
		   "\"Leader\":%s,"
		   "\"Meta\":{\"owner\":\"team-payments\",\"tier\":\"1\"}}",
		   500 + t, 256 << t % 4, t == 0 ? "true" : "false");
}

static void put_job(struct buf *b, int groups, int tasks)
{
	int g;
	int t;

	buf_str(b, "{\"ID\":\"payments-api\",\"Name\":\"payments-api\",\"Type\":\"service\",\"Priority\":70,"
		   "\"AllAtOnce\":false,"
		   "\"Datacenters\":[\"dc1\",\"dc2\",\"eu-west-1\"],\"TaskGroups\":[");
	for (g = 0; g < groups; g++) {
		buf_printf(b,
			   "%s{\"Name\":\"group-%d\",\"Count\":%d,\"RestartPolicy\":{\"Attempts\":3,\"Interval\":"
			   "600000000000,"
			   "\"Delay\":15000000000,\"Mode\":\"delay\"},\"Tasks\":[",
			   g > 0 ? "," : "", g, g + 1);
		for (t = 0; t < tasks; t++) {
			put_task(b, t);
		}
		buf_str(b, "]}");
	}
	buf_str(b, "],\"Meta\":{\"commit\":\"0d1c9e5e0f6d\",\"env\":\"production\"},\"Version\":12}");
}

#define BENCH(label, bytes, ...)                                                                                       \
	do {                                                                                                           \
		double best = 1e9;                                                                                     \
		int round;                                                                                             \
		for (round = 0; round < 5; round++) {                                                                  \
			int runs = 0;                                                                                  \
			double start = now();                                                                          \
			double took;                                                                                   \
			do {                                                                                           \
				int i;                                                                                 \
				for (i = 0; i < 20; i++) {                                                             \
					__VA_ARGS__;                                                                   \
				}                                                                                      \
				runs += 20;                                                                            \
				took = now() - start;                                                                  \
			} while (took < 0.2);                                                                          \
			best = took / runs < best ? took / runs : best;                                                \
		}                                                                                                      \
		printf("%-28s %8.1f MB/s %9.2f us\n", label, (double)(bytes) / best / 1e6, best * 1e6);                \
	} while (0)

static volatile bool same;

static void run(int groups, int tasks)
{
	struct buf text = {0};
	struct buf out = {0};
	struct buf packed = {0};
	struct arena mem = {0};
	struct fault fault;
	struct job job;
	struct job other;
	size_t json_len;
	size_t pack_len;

	put_job(&text, groups, tasks);
	if (json_decode(&job_type, &job, buf_text(&text), text.len, &mem, &fault) != 0) {
		printf("%s %s\n", fault.path, fault.why);
		exit(1);
	}
	json_encode(&job_type, &job, &out);
	pack_encode(&job_type, &job, &packed);
	json_len = out.len;
	pack_len = packed.len;
	printf("%d groups of %d tasks: JSON in %zu bytes, out %zu; packed %zu\n", groups, tasks, text.len, json_len,
	       pack_len);
	BENCH("JSON out", json_len, out.len = 0; json_encode(&job_type, &job, &out));
	BENCH("JSON in, arena", text.len, struct arena a = {0};
	      json_decode(&job_type, &other, text.at, text.len, &a, &fault); arena_close(&a));
	BENCH("JSON in, malloc and free", text.len, json_decode(&job_type, &other, text.at, text.len, NULL, &fault);
	      object_free(&job_type, &other));
	BENCH("pack out", pack_len, packed.len = 0; pack_encode(&job_type, &job, &packed));
	BENCH("pack in, arena", pack_len, struct arena a = {0}; pack_decode(&job_type, &other, packed.at, pack_len, &a);
	      arena_close(&a));
	BENCH("copy, arena", json_len, struct arena a = {0}; object_copy(&job_type, &other, &job, &a); arena_close(&a));
	object_copy(&job_type, &other, &job, &mem);
	BENCH("equal", json_len, same = object_equal(&job_type, &job, &other));
	BENCH("valid", json_len, same = object_valid(&job_type, &job, &fault));
	buf_close(&text);
	buf_close(&out);
	buf_close(&packed);
	arena_close(&mem);
}

int main(void)
{
	run(1, 1);
	run(8, 5);
	return 0;
}
