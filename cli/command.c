#include "cli/command.h"

#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"

static const struct command *const commands[] = {
#define X(name, common) &command_##name,
	COMMAND_LIST(X)
#undef X
};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const bool is_common[] = {
#define X(name, common) common,
	COMMAND_LIST(X)
#undef X
};

struct named {
	const char *name;
	const char *text;
};

static const struct named aliases[] = {
#define X(name, text) {name, text},
	ALIAS_LIST(X)
#undef X
};

static const struct named groups[] = {
#define X(name, text) {name, text},
	GROUP_LIST(X)
#undef X
};
enum { N_ALIASES = sizeof(aliases) / sizeof(aliases[0]), N_GROUPS = sizeof(groups) / sizeof(groups[0]) };

/* ---- what was given ---- */

const char *args_get(const struct args *args, const char *flag, const char *otherwise)
{
	unsigned i;

	for (i = args->n_given; i > 0; i--) {
		if (strcmp(args->given[i - 1].name, flag) == 0) {
			return args->given[i - 1].value;
		}
	}
	return otherwise;
}

bool args_has(const struct args *args, const char *flag)
{
	return strcmp(args_get(args, flag, "false"), "true") == 0;
}

bool args_number(const struct args *args, const char *flag, long long *n)
{
	const char *text = args_get(args, flag, NULL);
	char *end;
	long long value;

	if (text == NULL) {
		return true;
	}
	value = strtoll(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || value < 0) {
		fprintf(stderr, "-%s: a number is needed, not \"%s\"\n", flag, text);
		return false;
	}
	*n = value;
	return true;
}

/* ---- help ---- */

static void put_line(FILE *out, const char *name, const char *summary)
{
	fprintf(out, "    %-26s %s\n", name, summary);
}

static void help_program(FILE *out)
{
	size_t i;

	fprintf(out, "Usage: drover [-version] [-help] <command> [options] [args]\n\nCommon commands:\n");
	for (i = 0; i < N_COMMANDS; i++) {
		if (is_common[i]) {
			put_line(out, commands[i]->name, commands[i]->summary);
		}
	}
	fprintf(out, "\nAll commands:\n");
	for (i = 0; i < N_GROUPS; i++) {
		put_line(out, groups[i].name, groups[i].text);
	}
	for (i = 0; i < N_COMMANDS; i++) {
		if (strchr(commands[i]->name, ' ') == NULL) {
			put_line(out, commands[i]->name, commands[i]->summary);
		}
	}
	fprintf(out, "\n\"drover help <command>\" tells more about one.\n");
}

static bool in_group(const struct command *c, const char *group)
{
	size_t n = strlen(group);

	return strncmp(c->name, group, n) == 0 && c->name[n] == ' ';
}

static void help_group(FILE *out, const struct named *group)
{
	size_t i;

	fprintf(out, "Usage: drover %s <subcommand> [options] [args]\n\n  %s.\n\nSubcommands:\n", group->name,
		group->text);
	for (i = 0; i < N_COMMANDS; i++) {
		if (in_group(commands[i], group->name)) {
			put_line(out, commands[i]->name + strlen(group->name) + 1, commands[i]->summary);
		}
	}
}

/* A text broken into lines of at most 78 characters, each with that indentation. */
static void put_wrapped(FILE *out, unsigned indent, const char *text)
{
	while (*text != '\0') {
		size_t n = strcspn(text, "\n");

		if (n > 78 - indent) {
			for (n = 78 - indent; n > 0 && text[n] != ' '; n--) {
			}
			n = n > 0 ? n : strcspn(text, " \n");
		}
		fprintf(out, "%*s%.*s\n", n > 0 ? (int)indent : 0, "", (int)n, text);
		text += n;
		text += *text == ' ' || *text == '\n';
	}
}

static void help_flags(FILE *out, const char *title, const struct flag *flags)
{
	if (flags == NULL || flags->name == NULL) {
		return;
	}
	fprintf(out, "\n%s:\n", title);
	for (; flags->name != NULL; flags++) {
		fprintf(out, flags->takes != NULL ? "\n  -%s=<%s>\n" : "\n  -%s\n", flags->name, flags->takes);
		put_wrapped(out, 4, flags->help);
	}
}

static void help_command(FILE *out, const struct command *c)
{
	fprintf(out, "Usage: drover %s%s%s\n\n  %s.\n", c->name, c->usage[0] != '\0' ? " " : "", c->usage, c->summary);
	if (c->details != NULL) {
		fprintf(out, "\n");
		put_wrapped(out, 2, c->details);
	}
	if (c->api) {
		help_flags(out, "General options", client_flags);
	}
	help_flags(out, "Options", c->flags);
}

/* ---- the command line ---- */

static const struct flag *find_flag(const struct flag *flags, const char *name, size_t n)
{
	for (; flags != NULL && flags->name != NULL; flags++) {
		if (strlen(flags->name) == n && memcmp(flags->name, name, n) == 0) {
			return flags;
		}
	}
	return NULL;
}

static bool is_help(const char *word)
{
	return strcmp(word, "-h") == 0 || strcmp(word, "-help") == 0 || strcmp(word, "--help") == 0;
}

/* One flag at argv[*i], which goes on to its value if that stands apart. */
static bool take_flag(struct args *args, int argc, char **argv, int *i)
{
	const char *word = argv[*i];
	const char *name = word + 1 + (word[1] == '-');
	size_t n = strcspn(name, "=");
	const struct flag *flag = find_flag(args->command->flags, name, n);
	const char *value = name[n] == '=' ? name + n + 1 : NULL;

	if (flag == NULL && args->command->api) {
		flag = find_flag(client_flags, name, n);
	}
	if (flag == NULL) {
		fprintf(stderr, "drover %s: unknown option %s\n", args->command->name, word);
		return false;
	}
	if (flag->takes == NULL) {
		value = value == NULL || strcmp(value, "1") == 0 || strcmp(value, "true") == 0 ? "true" : "false";
	} else if (value == NULL) {
		if (*i + 1 == argc) {
			fprintf(stderr, "drover %s: -%s needs a value\n", args->command->name, flag->name);
			return false;
		}
		value = argv[++*i];
	}
	args->given[args->n_given++] = (struct given){.name = flag->name, .value = value};
	return true;
}

static bool take_words(struct args *args, int argc, char **argv)
{
	bool flags = true;
	int i;

	for (i = 0; i < argc; i++) {
		if (flags && strcmp(argv[i], "--") == 0) {
			flags = false;
		} else if (flags && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (!take_flag(args, argc, argv, &i)) {
				return false;
			}
		} else {
			args->rest[args->n_rest++] = argv[i];
			flags = flags && !args->command->leads;
		}
	}
	return true;
}

static bool check_count(const struct args *args)
{
	const struct command *c = args->command;

	if (args->n_rest >= c->min && args->n_rest <= c->max) {
		return true;
	}
	fprintf(stderr, "drover %s: %s arguments: it takes ", c->name, args->n_rest < c->min ? "too few" : "too many");
	if (c->min == c->max) {
		fprintf(stderr, "%u\n", c->min);
	} else {
		fprintf(stderr, c->max > 1000 ? "%u or more\n" : "%u to %u\n", c->min, c->max);
	}
	return false;
}

static int run_command(const struct command *c, int argc, char **argv)
{
	struct arena mem = {0};
	struct args args = {.command = c, .mem = &mem};
	int code = EXIT_ERROR;

	args.given = arena_calloc(&mem, (size_t)argc + 1, sizeof(*args.given));
	args.rest = arena_calloc(&mem, (size_t)argc + 1, sizeof(*args.rest));
	if (args.given == NULL || args.rest == NULL) {
		fprintf(stderr, "out of memory\n");
	} else if (take_words(&args, argc, argv) && check_count(&args)) {
		code = c->run(&args);
	} else {
		fprintf(stderr, "\"drover help %s\" tells more.\n", c->name);
	}
	arena_close(&mem);
	return code;
}

/* The command that the first words name, and how many words these are; NULL if there is none. */
static const struct command *find_command(const char *text, int words, int argc, int *used)
{
	size_t i;

	for (i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i]->name, text) == 0) {
			*used = words;
			return commands[i];
		}
	}
	for (i = 0; i < N_ALIASES && words == 1; i++) {
		if (strcmp(aliases[i].name, text) == 0) {
			return find_command(aliases[i].text, 1, argc, used);
		}
	}
	return NULL;
}

enum { WORDS_MAX = 4 };

/* Names have one word to four; the longest name is meant if several exist. */
static const struct command *resolve(int argc, char **argv, int *used)
{
	const struct command *c = NULL;
	char name[WORDS_MAX * 32];

	for (int words = argc < WORDS_MAX ? argc : WORDS_MAX; words > 0 && c == NULL; words--) {
		int n = 0;

		for (int i = 0; i < words; i++) {
			n += snprintf(name + n, 32, "%s%.30s", i > 0 ? " " : "", argv[i]);
		}
		c = find_command(name, words, argc, used);
	}
	return c;
}

static const struct named *find_group(const char *name)
{
	size_t i;

	for (i = 0; i < N_GROUPS; i++) {
		if (strcmp(groups[i].name, name) == 0) {
			return &groups[i];
		}
	}
	return NULL;
}

static int unknown(int argc, char **argv)
{
	const struct named *group = argc > 0 ? find_group(argv[0]) : NULL;

	if (group != NULL && (argc == 1 || is_help(argv[1]))) {
		help_group(stdout, group);
		return argc == 1 ? EXIT_ERROR : EXIT_OK;
	}
	if (group != NULL) {
		fprintf(stderr, "drover: unknown subcommand \"%s %s\"\n\n", argv[0], argv[1]);
		help_group(stderr, group);
		return EXIT_NO_COMMAND;
	}
	if (argc > 0) {
		fprintf(stderr, "drover: unknown command \"%s\"\n\n", argv[0]);
	}
	help_program(stderr);
	return EXIT_NO_COMMAND;
}

static int help(int argc, char **argv)
{
	int used;
	const struct command *c = resolve(argc, argv, &used);
	const struct named *group = argc > 0 ? find_group(argv[0]) : NULL;

	if (c != NULL) {
		help_command(stdout, c);
	} else if (group != NULL && argc == 1) {
		help_group(stdout, group);
	} else if (argc == 0) {
		help_program(stdout);
	} else {
		return unknown(argc, argv);
	}
	return EXIT_OK;
}

/* Help wins wherever it is asked for, up to "--". */
static bool wants_help(int argc, char **argv)
{
	int i;

	for (i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (is_help(argv[i])) {
			return true;
		}
	}
	return false;
}

int command_main(int argc, char **argv)
{
	const struct command *c;
	int used = 0;

	argc--;
	argv++;
	if (argc > 0 && (strcmp(argv[0], "help") == 0 || is_help(argv[0]))) {
		return help(argc - 1, argv + 1);
	}
	if (argc > 0 &&
	    (strcmp(argv[0], "-v") == 0 || strcmp(argv[0], "-version") == 0 || strcmp(argv[0], "--version") == 0)) {
		return run_command(&command_version, 0, NULL);
	}
	c = resolve(argc, argv, &used);
	if (c == NULL) {
		return unknown(argc, argv);
	}
	if (wants_help(argc - used, argv + used)) {
		help_command(stdout, c);
		return EXIT_OK;
	}
	return run_command(c, argc - used, argv + used);
}
