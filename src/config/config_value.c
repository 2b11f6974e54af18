#include "config/config.h"
#include "config/nearest.h"
#include "config/text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static Status unknown_key(const char *key, const char *where) {
    Nearest nearest = nearest_begin(key);
    for (int i = 0; i < CONFIG_KEYS; i++) nearest_offer(&nearest, config_key(i)->name);
    return status_error(RAM_USAGE, "unknown key '%s' (%s)%s `ram_dist config` lists all keys", text_excerpt(key).text,
                        where, nearest.name ? nearest_hint(&nearest).text : ";");
}

static Status set_int(int64_t *member, const KeyInfo *info, const char *value, const char *where) {
    const char *or_auto = info->may_be_auto ? ", or auto" : "";
    if (info->may_be_auto && strcmp(value, "auto") == 0) {
        *member = KEY_AUTO_INT;
        return status_ok();
    }
    int64_t number;
    if (!text_parse_int(value, &number))
        return status_error(RAM_USAGE,
                            "%s is '%s', not a whole number (%s); give %" PRId64 " to %" PRId64 " in digits%s",
                            info->name, text_excerpt(value).text, where, info->least_int, info->most_int, or_auto);
    if (number < info->least_int || number > info->most_int)
        return status_error(RAM_USAGE, "%s is %" PRId64 ", out of range (%s); give %" PRId64 " to %" PRId64 "%s",
                            info->name, number, where, info->least_int, info->most_int, or_auto);
    *member = number;
    return status_ok();
}

static Status set_real(double *member, const KeyInfo *info, const char *value, const char *where) {
    const char *or_auto = info->may_be_auto ? ", or auto" : "";
    if (info->may_be_auto && strcmp(value, "auto") == 0) {
        *member = NAN;
        return status_ok();
    }
    char least[TEXT_REAL], most[TEXT_REAL];
    text_write_real(info->least_real, least);
    text_write_real(info->most_real, most);
    double number;
    if (!text_parse_real(value, &number))
        return status_error(RAM_USAGE, "%s is '%s', not a number (%s); give %s to %s%s", info->name,
                            text_excerpt(value).text, where, least, most, or_auto);
    if (number < info->least_real || number > info->most_real)
        return status_error(RAM_USAGE, "%s is %s, out of range (%s); give %s to %s%s", info->name,
                            text_excerpt(value).text, where, least, most, or_auto);
    *member = number;
    return status_ok();
}

static Status set_choice(int *member, const KeyInfo *info, const char *value, const char *where) {
    int choice = text_find_word(info->choices, value);
    if (choice >= 0) {
        *member = choice;
        return status_ok();
    }
    char names[16][32];
    Nearest nearest = nearest_begin(value);
    for (int i = 0; i < 16 && text_word(info->choices, i, names[i], sizeof names[i]); i++)
        nearest_offer(&nearest, names[i]);
    return status_error(RAM_USAGE, "%s is '%s' (%s); give one of: %s%s", info->name, text_excerpt(value).text, where,
                        info->choices, nearest_hint(&nearest).text);
}

static Status set_text(char *member, const KeyInfo *info, const char *value, const char *where) {
    if (strlen(value) >= CONFIG_TEXT)
        return status_error(RAM_USAGE, "%s is %zu bytes long (%s); give at most %d", info->name, strlen(value), where,
                            CONFIG_TEXT - 1);
    if (!text_is_utf8(value)) /* it could not be written to the run folder's config.yaml */
        return status_error(RAM_USAGE, "%s is '%s', which is not UTF-8 (%s); give a name in UTF-8", info->name,
                            text_excerpt(value).text, where);
    memset(member, 0, CONFIG_TEXT);
    memcpy(member, value, strlen(value));
    return status_ok();
}

Status config_set_value(Config *config, const char *key, const char *value, const char *where) {
    int index = config_find_key(key);
    if (index < 0) return unknown_key(key, where);
    const KeyInfo *info = config_key(index);
    void *member = (char *)config + info->offset;
    switch (info->type) {
    case KEY_INT:
        return set_int(member, info, value, where);
    case KEY_REAL:
        return set_real(member, info, value, where);
    case KEY_CHOICE:
        return set_choice(member, info, value, where);
    default:
        return set_text(member, info, value, where);
    }
}

Status config_set(Config *config, const char *assignment) {
    const char *equals = strchr(assignment, '=');
    char key[CONFIG_TEXT], where[TEXT_EXCERPT + 8];
    snprintf(where, sizeof where, "--set %s", text_excerpt(assignment).text);
    if (!equals || equals == assignment || equals - assignment >= CONFIG_TEXT)
        return status_error(RAM_USAGE, "%s is not an assignment; write --set KEY=VALUE, as in --set train.lr=0.001",
                            where);
    snprintf(key, sizeof key, "%.*s", (int)(equals - assignment), assignment);
    return config_set_value(config, key, equals + 1, where);
}
