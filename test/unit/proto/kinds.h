/** A struct with one member of every kind, for the tests of the codecs. Its order is pinned by test_pack. */
#ifndef TEST_KINDS_H_
#define TEST_KINDS_H_

#include "proto/object.h"

#define INNER_FIELDS(X, T)          \
	X(T, STR, name, "Name", .dflt_str = "none") \
	X(T, INT, count, "Count", .dflt = 1)
#define KINDS_FIELDS(X, T)                        \
	X(T, BOOL, b, "B")                        \
	X(T, INT, i, "I")                         \
	X(T, DUR, dur, "Dur")                     \
	X(T, NUM, num, "Num")                     \
	X(T, TIME, time, "Time")                  \
	X(T, STR, str, "Str")                     \
	X(T, BYTES, bytes, "Bytes")               \
	X(T, ANY, any, "Any")                     \
	X(T, OPTBOOL, ob, "Ob")                   \
	X(T, OPTINT, oi, "Oi")                    \
	X(T, OPTDUR, od, "Od")                    \
	X(T, STRS, strs, "Strs")                  \
	X(T, INTS, ints, "Ints", .brackets = true) \
	X(T, MAP, map, "Map")                     \
	X(T, INTMAP, intmap, "Intmap")            \
	X(T, NUMMAP, nummap, "Nummap")            \
	X(T, BOOLMAP, boolmap, "Boolmap", .brackets = true) \
	X(T, OBJ(inner), obj, "Obj")              \
	X(T, LIST(inner), list, "List")           \
	X(T, OBJMAP(inner), objmap, "Objmap")     \
	X(T, STR, omitted, "Omitted", .omit = true) \
	X(T, ANY, any_brackets, "AnyBrackets", .brackets = true)
OBJECT_DECLARE(inner, INNER_FIELDS);
OBJECT_DECLARE(kinds, KINDS_FIELDS);

#endif /* TEST_KINDS_H_ */
