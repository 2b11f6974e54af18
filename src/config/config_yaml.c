#include "base/log.h"
#include "base/memory.h"
#include "config/config.h"
#include "config/nearest.h"
#include "config/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

enum { MOST_BYTES = 1 << 16, SHOWN_PATH = 200 };

/* ---- reading */

typedef struct {
    Config *config;
    char path[SHOWN_PATH + 4]; /* as messages show it */
    char where[SHOWN_PATH + 24];
    yaml_parser_t parser;
    yaml_event_t event; /* the current one, at `line` */
    int line;
    int key_line[CONFIG_KEYS];     /* where a key was given; 0: not yet */
    int section_line[CONFIG_KEYS]; /* the same for sections, under their first key's number */
} Reader;

/* The end of a path tells more than its start. */
static void show_path(const char *path, char shown[SHOWN_PATH + 4]) {
    size_t length = strlen(path);
    snprintf(shown, SHOWN_PATH + 4, "%s%s", length > SHOWN_PATH ? "..." : "",
             length > SHOWN_PATH ? path + length - SHOWN_PATH : path);
}

/* path:line for messages. */
static const char *place(Reader *reader, int line) {
    snprintf(reader->where, sizeof reader->where, "%s:%d", reader->path, line);
    return reader->where;
}

static Status syntax_error(Reader *reader, const char *text) {
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR) fatal("out of memory while reading %s", reader->path);
    int line = (int)parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) { /* it gives bytes instead of lines */
        line = 1;
        for (size_t i = 0; i < parser->problem_offset; i++) line += text[i] == '\n';
    }
    return status_error(RAM_USAGE, "not YAML: %s (%s); write lines of `key: value`, indented with spaces",
                        parser->problem ? parser->problem : "unreadable", place(reader, line));
}

/* What a configuration has no use for, or NULL. */
static const char *foreign_feature(const yaml_event_t *event) {
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "an alias (*name)";
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor ? "an anchor (&name)"
               : event->data.mapping_start.tag  ? "a tag (!name)"
                                                : NULL;
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.anchor) return "an anchor (&name)";
        if (event->data.scalar.tag) return "a tag (!name)";
        return strlen((const char *)event->data.scalar.value) < event->data.scalar.length ? "a NUL character" : NULL;
    default:
        return NULL;
    }
}

static Status next_event(Reader *reader, const char *text) {
    yaml_event_delete(&reader->event);
    if (!yaml_parser_parse(&reader->parser, &reader->event)) return syntax_error(reader, text);
    reader->line = (int)reader->event.start_mark.line + 1;
    const char *foreign = foreign_feature(&reader->event);
    if (!foreign) return status_ok();
    return status_error(RAM_USAGE, "%s has no place in a configuration (%s); write lines of `key: value`", foreign,
                        place(reader, reader->line));
}

/* The number of the section's first key, or -1. */
static int find_section(const char *name) {
    for (int key = 0; key < CONFIG_KEYS; key++)
        if (*name && strcmp(config_key(key)->section, name) == 0) return key;
    return -1;
}

static Status note_once(Reader *reader, int *line_of, const char *what, const char *name, int line) {
    if (*line_of > 0)
        return status_error(RAM_USAGE, "%s %s is given twice (%s, first in line %d); keep one", what, name,
                            place(reader, line), *line_of);
    *line_of = line;
    return status_ok();
}

static Status begin_section(Reader *reader, const char *name, int line) {
    int section = find_section(name);
    if (section >= 0) return note_once(reader, &reader->section_line[section], "section", name, line);
    if (config_find_key(name) >= 0)
        return status_error(RAM_USAGE, "%s is a key, not a section (%s); write `%s: value`", name, place(reader, line),
                            name);
    Nearest nearest = nearest_begin(name);
    for (int key = 0; key < CONFIG_KEYS; key++) nearest_offer(&nearest, config_key(key)->section);
    return status_error(RAM_USAGE, "unknown section '%s' (%s)%s `ram_dist config` lists all keys",
                        text_excerpt(name).text, place(reader, line), nearest.name ? nearest_hint(&nearest).text : ";");
}

/* An empty value, or YAML's words for it. */
static bool is_null(const yaml_event_t *event) {
    const char *value = (const char *)event->data.scalar.value;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text_find_word("~ null Null NULL", value) >= 0 || *value == '\0');
}

/* The current event is the scalar value of `name`, whose own line is `line`. */
static Status read_value(Reader *reader, const char *name, int line) {
    bool empty = is_null(&reader->event);
    if (find_section(name) >= 0) {
        TRY(begin_section(reader, name, line));
        if (empty) return status_ok(); /* all its keys are commented out */
        return status_error(RAM_USAGE, "%s is a section, not a key (%s); write its keys below it, indented", name,
                            place(reader, line));
    }
    int key = config_find_key(name);
    if (key >= 0) TRY(note_once(reader, &reader->key_line[key], "key", name, line));
    if (key >= 0 && empty && config_key(key)->type != KEY_TEXT)
        return status_error(RAM_USAGE, "%s has no value (%s); give one, or remove the line", name, place(reader, line));
    const char *value = empty ? "" : (const char *)reader->event.data.scalar.value;
    return config_set_value(reader->config, name, value, place(reader, line));
}

/* From after the start of a mapping to its end. */
static Status read_mapping(Reader *reader, const char *section, const char *text) {
    for (;;) {
        TRY(next_event(reader, text));
        if (reader->event.type == YAML_MAPPING_END_EVENT) return status_ok();
        int line = reader->line;
        if (reader->event.type != YAML_SCALAR_EVENT)
            return status_error(RAM_USAGE, "a key is not a word (%s); write lines of `key: value`",
                                place(reader, line));
        char name[CONFIG_TEXT];
        snprintf(name, sizeof name, "%s%s%s", section, *section ? "." : "",
                 (const char *)reader->event.data.scalar.value);
        TRY(next_event(reader, text));
        if (reader->event.type == YAML_SCALAR_EVENT) {
            TRY(read_value(reader, name, line));
        } else if (*section) {
            return status_error(RAM_USAGE, "'%s' holds keys of its own, but sections do not nest: give it a value (%s)",
                                text_excerpt(name).text, place(reader, line));
        } else {
            TRY(begin_section(reader, name, line));
            TRY(read_mapping(reader, name, text));
        }
    }
}

static Status read_stream(Reader *reader, const char *text) {
    TRY(next_event(reader, text)); /* the start of the stream */
    TRY(next_event(reader, text));
    if (reader->event.type == YAML_STREAM_END_EVENT) return status_ok();
    TRY(next_event(reader, text)); /* after the start of the document */
    if (reader->event.type == YAML_MAPPING_START_EVENT)
        TRY(read_mapping(reader, "", text));
    else if (!is_null(&reader->event))
        return status_error(RAM_USAGE, "'%s' is not a key with a value (%s); write lines of `key: value`",
                            text_excerpt((const char *)reader->event.data.scalar.value).text,
                            place(reader, reader->line));
    TRY(next_event(reader, text)); /* the end of the document */
    TRY(next_event(reader, text));
    if (reader->event.type == YAML_STREAM_END_EVENT) return status_ok();
    return status_error(RAM_USAGE, "a second document begins (%s); keep one", place(reader, reader->line));
}

static Status load(const char *path, const char *shown, char *text, size_t *bytes) {
    struct stat facts;
    if (stat(path, &facts) == 0 && (S_ISFIFO(facts.st_mode) || S_ISSOCK(facts.st_mode)))
        return status_error(RAM_USAGE, "the configuration %s is a pipe, which can be read but once: give a file",
                            shown);
    FILE *file = fopen(path, "re");
    if (!file)
        return status_error(RAM_USAGE, "cannot open the configuration %s: %s; check the path", shown, strerror(errno));
    *bytes = fread(text, 1, MOST_BYTES, file);
    int failure = ferror(file) ? errno : 0;
    fclose(file);
    if (failure)
        return status_error(RAM_USAGE, "cannot read the configuration %s: %s; give a YAML file", shown,
                            strerror(failure));
    if (*bytes == MOST_BYTES)
        return status_error(RAM_USAGE, "%s is too large for a configuration; give a YAML file below %d bytes", shown,
                            MOST_BYTES);
    return status_ok();
}

Status config_read_file(Config *config, const char *path) {
    bool given[CONFIG_KEYS];
    return config_read_given(config, path, given);
}

Status config_read_given(Config *config, const char *path, bool given[CONFIG_KEYS]) {
    Config read = *config;
    Reader reader = {.config = &read};
    show_path(path, reader.path);
    char *text = memory_new(MOST_BYTES, 1);
    size_t bytes = 0;
    Status status = load(path, reader.path, text, &bytes);
    if (!status_failed(&status)) {
        if (!yaml_parser_initialize(&reader.parser)) fatal("out of memory while reading %s", reader.path);
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, bytes);
        status = read_stream(&reader, text);
        yaml_event_delete(&reader.event);
        yaml_parser_delete(&reader.parser);
    }
    free(text);
    if (status_failed(&status)) return status;
    *config = read;
    for (int key = 0; key < CONFIG_KEYS; key++)
        if (reader.key_line[key] > 0) given[key] = true;
    return status_ok();
}

/* ---- writing */

/* After a failed write, say to a full disk, the emitter takes no more; the caller asks ferror(). */
typedef struct {
    yaml_emitter_t emitter;
    bool failed;
} Writer;

static void emit(Writer *writer, yaml_event_t *event, int initialised) {
    if (!initialised) fatal("out of memory while writing YAML");
    if (writer->failed)
        yaml_event_delete(event);
    else
        writer->failed = !yaml_emitter_emit(&writer->emitter, event);
}

static void emit_scalar(Writer *writer, const char *text, yaml_scalar_style_t style) {
    yaml_event_t event;
    emit(writer, &event,
         yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1, 1, style));
}

static void emit_mapping_start(Writer *writer) {
    yaml_event_t event;
    emit(writer, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
}

static void emit_mapping_end(Writer *writer) {
    yaml_event_t event;
    emit(writer, &event, yaml_mapping_end_event_initialize(&event));
}

/* Texts are always quoted: no reader can take them for a number, a null or a comment. */
static void emit_key(Writer *writer, const Config *config, int key) {
    const KeyInfo *info = config_key(key);
    char text[CONFIG_TEXT];
    config_get_text(config, key, text, sizeof text);
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
    if (info->type == KEY_TEXT) {
        style = YAML_SINGLE_QUOTED_SCALAR_STYLE;
        for (const char *at = text; *at; at++)
            if ((unsigned char)*at < ' ' || (unsigned char)*at > '~') style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    }
    emit_scalar(writer, *info->section ? info->name + strlen(info->section) + 1 : info->name, YAML_PLAIN_SCALAR_STYLE);
    emit_scalar(writer, text, style);
}

static void emit_section(Writer *writer, const Config *config, const char *section, const bool wanted[CONFIG_KEYS]) {
    bool begun = false;
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (!wanted[key] || strcmp(config_key(key)->section, section) != 0) continue;
        if (!begun && *section) {
            emit_scalar(writer, section, YAML_PLAIN_SCALAR_STYLE);
            emit_mapping_start(writer);
        }
        begun = true;
        emit_key(writer, config, key);
    }
    if (begun && *section) emit_mapping_end(writer);
}

void config_write_yaml(const Config *config, FILE *file, bool only_changed) {
    bool wanted[CONFIG_KEYS];
    for (int key = 0; key < CONFIG_KEYS; key++) wanted[key] = !only_changed;
    Config defaults;
    config_default(&defaults);
    for (int key = -1; (key = config_next_difference(config, &defaults, key)) >= 0;) wanted[key] = true;

    Writer writer = {.failed = false};
    yaml_event_t event;
    if (!yaml_emitter_initialize(&writer.emitter)) fatal("out of memory while writing YAML");
    yaml_emitter_set_output_file(&writer.emitter, file);
    yaml_emitter_set_unicode(&writer.emitter, 1);
    yaml_emitter_set_width(&writer.emitter, -1);
    emit(&writer, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    emit(&writer, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
    emit_mapping_start(&writer);
    emit_section(&writer, config, "", wanted);
    for (int key = 0; key < CONFIG_KEYS; key++)
        if (find_section(config_key(key)->section) == key)
            emit_section(&writer, config, config_key(key)->section, wanted);
    emit_mapping_end(&writer);
    emit(&writer, &event, yaml_document_end_event_initialize(&event, 1));
    emit(&writer, &event, yaml_stream_end_event_initialize(&event));
    yaml_emitter_delete(&writer.emitter);
}
