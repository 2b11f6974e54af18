#include "config/config.h"
#include "base/log.h"
#include "config/text.h"

#include <math.h>
#include <string.h>

/* ".seed" is the name "seed" without a section. */
#define KEY(group, key, kind, when, text)                                                                              \
    .name = &(#group "." #key)[sizeof #group == 1], .section = #group, .help = text, .type = kind,                     \
    .change = CHANGE_##when, .offset = offsetof(Config, group##_##key)

static const KeyInfo the_keys[CONFIG_KEYS] = {
#define INT(group, key, value, least, most, when, text)                                                                \
    {KEY(group, key, KEY_INT, when, text), .least_int = least, .most_int = most},
#define AUTO_INT(group, key, value, least, most, when, text)                                                           \
    {KEY(group, key, KEY_INT, when, text), .least_int = least, .most_int = most, .may_be_auto = true},
#define REAL(group, key, value, least, most, when, text)                                                               \
    {KEY(group, key, KEY_REAL, when, text), .least_real = least, .most_real = most},
#define AUTO_REAL(group, key, value, least, most, when, text)                                                          \
    {KEY(group, key, KEY_REAL, when, text), .least_real = least, .most_real = most, .may_be_auto = true},
#define CHOICE(group, key, value, names, when, text) {KEY(group, key, KEY_CHOICE, when, text), .choices = names},
#define TEXT(group, key, value, when, text)          {KEY(group, key, KEY_TEXT, when, text)},
#include "config/keys.def"
#undef INT
#undef AUTO_INT
#undef REAL
#undef AUTO_REAL
#undef CHOICE
#undef TEXT
};

const KeyInfo *config_key(int key) {
    require(key >= 0 && key < CONFIG_KEYS);
    return &the_keys[key];
}

int config_find_key(const char *name) {
    for (int key = 0; key < CONFIG_KEYS; key++)
        if (strcmp(the_keys[key].name, name) == 0) return key;
    return -1;
}

void config_default(Config *config) {
    memset(config, 0, sizeof *config);
#define INT(section, name, value, ...)  config->section##_##name = value;
#define AUTO_INT                        INT
#define REAL                            INT
#define AUTO_REAL                       INT
#define CHOICE                          INT
#define TEXT(section, name, value, ...) snprintf(config->section##_##name, CONFIG_TEXT, "%s", value);
#include "config/keys.def"
#undef INT
#undef AUTO_INT
#undef REAL
#undef AUTO_REAL
#undef CHOICE
#undef TEXT
}

/* The member's bytes, copied out: keys of a type are read through its offset. */
#define MEMBER(type, config, info) (*(const type *)((const char *)(config) + (info)->offset))

void config_get_text(const Config *config, int key, char *text, size_t size) {
    const KeyInfo *info = config_key(key);
    char number[TEXT_REAL];
    switch (info->type) {
    case KEY_INT:
        if (info->may_be_auto && MEMBER(int64_t, config, info) == KEY_AUTO_INT)
            snprintf(text, size, "auto");
        else
            snprintf(text, size, "%lld", (long long)MEMBER(int64_t, config, info));
        return;
    case KEY_REAL:
        if (info->may_be_auto && isnan(MEMBER(double, config, info))) {
            snprintf(text, size, "auto");
            return;
        }
        text_write_real(MEMBER(double, config, info), number);
        snprintf(text, size, "%s", number);
        return;
    case KEY_CHOICE:
        require(text_word(info->choices, MEMBER(int, config, info), text, size));
        return;
    case KEY_TEXT:
        snprintf(text, size, "%s", (const char *)config + info->offset);
        return;
    }
    fatal("key %s has no type", info->name);
}

/* Two values differ when their texts do: the text of a value reads back as the same bits. */
int config_next_difference(const Config *a, const Config *b, int key) {
    char text_a[CONFIG_TEXT], text_b[CONFIG_TEXT];
    while (++key < CONFIG_KEYS) {
        config_get_text(a, key, text_a, sizeof text_a);
        config_get_text(b, key, text_b, sizeof text_b);
        if (strcmp(text_a, text_b) != 0) return key;
    }
    return -1;
}

static void copy_value(Config *config, const Config *from, int key) {
    char text[CONFIG_TEXT];
    config_get_text(from, key, text, sizeof text);
    const Status status = config_set_value(config, the_keys[key].name, text, "checkpoint");
    require(!status_failed(&status));
}

void config_settle_auto(Config *config, const Config *saved) {
    for (int key = -1; (key = config_next_difference(config, saved, key)) >= 0;) {
        char text[CONFIG_TEXT];
        if (the_keys[key].change != CHANGE_FIXED || !the_keys[key].may_be_auto) continue;
        config_get_text(config, key, text, sizeof text);
        if (strcmp(text, "auto") == 0) copy_value(config, saved, key);
    }
}

bool config_copy_section(Config *config, const Config *from, const char *section) {
    bool differed = false;
    for (int key = -1; (key = config_next_difference(config, from, key)) >= 0;) {
        if (strcmp(the_keys[key].section, section) != 0) continue;
        copy_value(config, from, key);
        differed = true;
    }
    return differed;
}

void config_name(const char *config_path, char *name, size_t size) {
    if (!config_path) {
        snprintf(name, size, "default");
        return;
    }
    const char *slash = strrchr(config_path, '/');
    const char *file = slash ? slash + 1 : config_path;
    const char *dot = strrchr(file, '.');
    int stem = dot && dot != file ? (int)(dot - file) : (int)strlen(file);
    snprintf(name, size, "%.*s", stem, file);
}
