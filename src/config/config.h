/* Config: the resolved configuration of a run. keys.def is the one table; this header turns it into a struct, the
 * config_*.c files into parsing, checking, dumping and help. Must not know what the keys do, nor who prints an error.
 * Nothing here is collective. */
#ifndef RAM_CONFIG_CONFIG_H
#define RAM_CONFIG_CONFIG_H

#include "base/status.h"
#include "base/terms.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CONFIG_TEXT = 512 };
#define KEY_AUTO_INT (-1)

/* Members are `section_name`, e.g. config.train_batch; keys without a section are `_name`, e.g. config._seed. */
typedef struct {
#define INT(section, name, ...)    int64_t section##_##name;
#define AUTO_INT                   INT
#define REAL(section, name, ...)   double section##_##name;
#define AUTO_REAL                  REAL
#define CHOICE(section, name, ...) int section##_##name;
#define TEXT(section, name, ...)   char section##_##name[CONFIG_TEXT];
#include "config/keys.def"
#undef INT
#undef AUTO_INT
#undef REAL
#undef AUTO_REAL
#undef CHOICE
#undef TEXT
} Config;

typedef enum { KEY_INT, KEY_REAL, KEY_CHOICE, KEY_TEXT } KeyType;

/* When a key may change on a resumed run, the strictest last. */
typedef enum { CHANGE_FREE, CHANGE_EPOCH, CHANGE_FIXED } KeyChange;

/* One line of keys.def. */
typedef struct {
    const char *name;    /* "train.lr", "seed" */
    const char *section; /* "train", "" */
    const char *help;
    const char *choices; /* of a KEY_CHOICE: names separated by one space, in the order of their enum */
    KeyType type;
    KeyChange change;
    bool may_be_auto;
    int64_t least_int, most_int;  /* of a KEY_INT */
    double least_real, most_real; /* of a KEY_REAL */
    size_t offset;                /* in Config */
} KeyInfo;

/* Keys are numbered 0 to CONFIG_KEYS - 1 in the order of keys.def. */
enum {
    CONFIG_KEYS = 0
#define INT(...)  +1
#define AUTO_INT  INT
#define REAL      INT
#define AUTO_REAL INT
#define CHOICE    INT
#define TEXT      INT
#include "config/keys.def"
#undef INT
#undef AUTO_INT
#undef REAL
#undef AUTO_REAL
#undef CHOICE
#undef TEXT
};
const KeyInfo *config_key(int key);
int config_find_key(const char *name); /* -1: there is none */

void config_default(Config *config);

/* Reads a YAML file over `config`, which stays untouched on failure. Sections may be nested (train: {lr: 1e-3}) or
 * dotted (train.lr: 1e-3). RAM_USAGE with path and line for anything but keys of the table with values in their ranges.
 */
Status config_read_file(Config *config, const char *path);
/* The same; given[key] becomes true for the keys that stand in it, others are left alone. */
Status config_read_given(Config *config, const char *path, bool given[CONFIG_KEYS]);

/* The argument of --set: "train.lr=1e-3". */
Status config_set(Config *config, const char *assignment);

/* Sets a key from the text of its value; `where` says where that text stands ("--device", "mnist.yaml:3") for messages.
 */
Status config_set_value(Config *config, const char *key, const char *value, const char *where);

/* The rules between keys. Call it once when all values are in. */
Status config_check(const Config *config);

/* The value as its text in a YAML file, unquoted; reads back as the same bits. CONFIG_TEXT bytes always suffice. */
void config_get_text(const Config *config, int key, char *text, size_t size);

/* The next key after `key` (-1: the first) whose values differ, or -1:
 *     for (int key = -1; (key = config_next_difference(&a, &b, key)) >= 0;) ... config_key(key)->change ... */
int config_next_difference(const Config *a, const Config *b, int key);

/* Where `config` leaves a key that may never change to `auto`, it becomes what `saved` found it to be. */
void config_settle_auto(Config *config, const Config *saved);

/* Every key of the section takes its value in `from`; whether any had another one. */
bool config_copy_section(Config *config, const Config *from, const char *section);

/* Writes YAML that config_read_file turns into the same Config; `only_changed`: keys that differ from their default.
 * A failed write shows in ferror(file). */
void config_write_yaml(const Config *config, FILE *file, bool only_changed);

/* The keys of a section that differ from their default, "rotation 7, scale 0.07"; "" where none does, cut where `text`
 * ends. */
void config_describe_section(const Config *config, const char *section, char *text, size_t size);

/* What a key may be: "integer 1 to 64", "auto, real 0 to 1", "rnn | lstm", "text". */
enum { CONFIG_VALUES = 96 };
void config_describe_values(const KeyInfo *info, char text[CONFIG_VALUES]);

/* The table for people: key, default, values, when it may change, help; within 80 columns. */
void config_print_keys(FILE *file);

/* The default name of a run: the stem of the configuration's file, "default" without one (NULL). */
void config_name(const char *config_path, char *name, size_t size);

#endif
