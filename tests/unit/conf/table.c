#include "table.h"

static const struct xf_conf_name color_names[] = {
    {"red", RED, false}, {"green", GREEN, false}, {"violet", 7, true}, {NULL, 0, false}};

static const struct xf_conf_key member_keys[] = {
    {XF_CONF_AT(struct member, id), .type = XF_CONF_STRING, .id = true, .required = true, .tag = 1,
     .help = "certificate name"},
    {XF_CONF_AT(struct member, domain), .type = XF_CONF_STRING, .def = "none", .tag = 2,
     .help = "domain"},
    {XF_CONF_AT(struct member, max_weight), .type = XF_CONF_UINT, .def = "1000", .min = 1,
     .max = 536870911, .tag = 3, .help = "largest weight"},
};
static const struct xf_conf_schema member_schema = {member_keys, 3, sizeof(struct member)};

static const struct xf_conf_key keys[] = {
    {XF_CONF_AT(struct target, name), .type = XF_CONF_STRING, .required = true, .tag = 1,
     .reload = XF_CONF_RESTART, .help = "name"},
    {XF_CONF_AT(struct target, fast), .type = XF_CONF_BOOL, .def = "false", .tag = 2,
     .help = "fast"},
    {XF_CONF_AT(struct target, shift), .type = XF_CONF_INT, .def = "-3", .min = -10, .max = 10,
     .tag = 3, .help = "shift"},
    {XF_CONF_AT(struct target, seed), .type = XF_CONF_UINT, .def = "1", .tag = 4, .help = "seed"},
    {XF_CONF_AT(struct target, fed.rounds), .type = XF_CONF_UINT, .def = "20", .min = 1,
     .max = 1000000, .unit = "commits", .tag = 5, .reload = XF_CONF_NEXT_ROUND, .help = "rounds"},
    {XF_CONF_AT(struct target, fed.quorum), .type = XF_CONF_DOUBLE, .min = 0, .max = 1,
     .open_min = true, .tag = 6, .reload = XF_CONF_NEXT_ROUND, .help = "quorum"},
    {XF_CONF_AT(struct target, fed.deadline_s), .type = XF_CONF_DURATION, .def = "60", .min = 0.1,
     .max = 86400, .unit = "s", .tag = 7, .reload = XF_CONF_LIVE, .help = "deadline"},
    {XF_CONF_AT(struct target, fed.server.lr), .type = XF_CONF_DOUBLE, .def = "1", .min = 0,
     .max = 100, .tag = 8, .help = "rate"},
    {XF_CONF_AT(struct target, fed.server.color), .type = XF_CONF_ENUM, .def = "green",
     .names = color_names, .tag = 9, .help = "colour"},
    {XF_CONF_AT(struct target, store.quota), .type = XF_CONF_SIZE, .def = "64KiB", .help = "quota"},
    {XF_CONF_AT(struct target, store.dir), .type = XF_CONF_PATH, .def = "/var", .expand = true,
     .reload = XF_CONF_RESTART, .help = "directory"},
    {XF_CONF_LIST_AT(struct target, hidden, n_hidden), .type = XF_CONF_UINT, .def = "8,4", .min = 1,
     .max = 1000, .tag = 10, .help = "sizes"},
    {XF_CONF_LIST_AT(struct target, colors, n_colors), .type = XF_CONF_ENUM, .names = color_names,
     .tag = 11, .help = "colours"},
    {XF_CONF_HEAP_AT(struct target, members, n_members, 100), .type = XF_CONF_SECTIONS,
     .sections = &member_schema, .tag = 12, .reload = XF_CONF_LIVE, .help = "members"},
};
const struct xf_conf_schema table = {keys, sizeof keys / sizeof keys[0], sizeof(struct target)};
