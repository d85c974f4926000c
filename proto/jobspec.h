/**
 * The job language: job files in HCL as jobs.
 *
 *     variable "count" { default = 2 }
 *     locals { image = "web:${var.count}" }
 *     job "web" {
 *       group "front" {
 *         count = var.count
 *         task "server" { driver = "docker"  config { image = local.image } }
 *       }
 *     }
 *
 * Names of blocks and attributes are those of the field tables (proto/job.h); what the language has beyond them
 * (short forms of constraints, dynamic blocks, blocks that tasks inherit) is made of simpler blocks first. What a node
 * alone can know, as ${NOMAD_ALLOC_ID} or ${attr.cpu.arch}, stays as text.
 *
 * Parsing is a function of its arguments: no files are read, no clock and no random source. All is bounded, as told
 * below and in proto/hcl_decode.h, so that no job file takes a thread for longer than a fraction of a second.
 */
#ifndef PROTO_JOBSPEC_H_
#define PROTO_JOBSPEC_H_

#include "lib/uuid.h"
#include "proto/job.h"

enum {
	JOBSPEC_MAX_BYTES = 1 << 20,
	JOBSPEC_MAX_STEPS = 1 << 18,  /* Of all evaluations together, */
	JOBSPEC_MAX_TEXT = 8 << 20,   /* and of text that they make. */
	JOBSPEC_MAX_NAMES = 512,      /* Variables, and locals. */
	JOBSPEC_MAX_COPIES = 1 << 18, /* Nodes of the tree that dynamic blocks and inheritance add. */
};

struct jobspec_source {
	const char *text;
	size_t len;
	const char *name;      /* For messages: "input.hcl". */
	const char *variables; /* Values of variables, as "name = value" lines; NULL: none. Names that the job file does
				* not declare are passed over. */
	size_t variables_len;
	const char *variables_name;
	const struct map *flags; /* Likewise, as text each, before those: at most JOBSPEC_MAX_NAMES; NULL: none. */
	struct uuid seed; /* Random bits: UUIDs that the file asks for are made of them. */
};

/* The job is made of the file, not canonicalized; all of it is in `mem`. 0; ERR_NOMEM; or ERR_INVALID, with all faults
 * in `why`, a line each: "input.hcl:3,5: ...". */
int jobspec_parse(const struct jobspec_source *source, struct arena *mem, struct job *job, struct buf *why);

#endif /* PROTO_JOBSPEC_H_ */
