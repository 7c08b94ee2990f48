/* Points as an SVG: axes, error bars, lines and marks, a legend; readable on light and on dark ground. */
#include "tools/plot.h"

#include "base/str.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 760, HEIGHT = 420, LEFT = 72, TOP = 48, BOTTOM = 58, TICKS = 40, NAME_CHARS = 30 };

struct pen {
  struct xf_buf *out;
  enum xf_rc rc;
};
/* Appends formatted text unless something failed before. */
#define PUT(pen, ...)                                                   \
  do {                                                                  \
    if (!(pen)->rc) (pen)->rc = xf_buf_printf((pen)->out, __VA_ARGS__); \
  } while (0)

/* Text for XML: marked-up characters by name, what XML cannot hold as U+FFFD, at most `max` characters. */
static void put_text(struct pen *pen, const char *s, size_t max) {
  const unsigned char *p = (const unsigned char *)s;
  size_t left = strlen(s);
  for (size_t i = 0; left; i++) {
    const size_t n = xf_str_utf8_len(p, left);
    if (i == max) {
      PUT(pen, "\xe2\x80\xa6");
      return;
    }
    const bool nonchar = n == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe;
    if (n == 0 || nonchar || *p < 0x20) PUT(pen, "\xef\xbf\xbd");
    else if (*p == '&') PUT(pen, "&amp;");
    else if (*p == '<') PUT(pen, "&lt;");
    else if (*p == '>') PUT(pen, "&gt;");
    else if (*p == '"') PUT(pen, "&quot;");
    else PUT(pen, "%.*s", (int)n, (const char *)p);
    p += n ? n : 1;
    left -= n ? n : 1;
  }
}

struct axis {
  double low, high; /* ends, of the logarithm when log */
  bool log;
  double from, to; /* pixels */
  double tick[TICKS];
  size_t n_tick;
  int decimals; /* of labels; negative: as short as they are */
};

static double at(const struct axis *a, double v) {
  const double t = ((a->log ? log10(v) : v) - a->low) / (a->high - a->low);
  return a->from + t * (a->to - a->from);
}

/* Ticks at multiples of 1, 2 or 5 times a power of ten; the axis ends at ticks. */
static void linear_axis(struct axis *a, double low, double high) {
  const double size = fmax(fabs(low), fabs(high));
  if (high - low <= 1e-9 * size || high == low) {
    const double pad = size > 0 ? size / 10 : 1;
    low -= pad;
    high += pad;
  }
  const double raw = (high - low) / 5, power = pow(10, floor(log10(raw))), part = raw / power;
  const double step = power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
  const double first = floor(low / step + 1e-9), last = ceil(high / step - 1e-9);
  a->low = first * step;
  a->high = last * step;
  for (double k = first; k <= last && a->n_tick < TICKS; k++) a->tick[a->n_tick++] = k * step;
  a->decimals = fmax(fabs(a->low), fabs(a->high)) < 1e7 && step > 1e-9
                    ? (int)fmax(0, ceil(-log10(step) - 1e-9))
                    : -1;
}

/* Ticks at 1, 2, 5 (over few decades) and powers of ten; a little room at both ends. */
static void log_axis(struct axis *a, double low, double high) {
  const double room = fmax(.03, .03 * (log10(high) - log10(low)));
  a->low = log10(low) - room;
  a->high = log10(high) + room;
  a->decimals = -1;
  const double decades = a->high - a->low;
  const double every = ceil(decades / 12);
  for (double k = floor(a->low); k <= a->high && a->n_tick + 3 < TICKS; k++)
    for (int m = 0; m < 3; m++) {
      const double v = pow(10, k) * (m == 0 ? 1 : m == 1 ? 2 : 5);
      if (log10(v) < a->low || log10(v) > a->high) continue;
      if (m && decades > 4) continue;
      if (every > 1 && fmod(k, every) != 0) continue;
      a->tick[a->n_tick++] = v;
    }
  if (a->n_tick >= 2) return;
  a->n_tick = 0;
  a->tick[a->n_tick++] = low;
  if (high > low) a->tick[a->n_tick++] = high;
}

static void put_label(struct pen *pen, const struct axis *a, double v) {
  if (v == 0) v = 0; /* no -0 */
  if (a->decimals >= 0) PUT(pen, "%.*f", a->decimals, v);
  else PUT(pen, "%.10g", v);
}

static const char style[] =
    "<style>\n"
    "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}\n"
    ".t{font-size:15px;font-weight:600}.g{fill:#ffffff}.a{stroke:#59636e}.h{stroke:#d1d9e0}\n"
    ".s0{color:#0b5fa5}.s1{color:#b8520a}.s2{color:#1a7f37}.s3{color:#8250df}.s4{color:#cf222e}"
    ".s5{color:#0e7c86}.s6{color:#7a5c00}.s7{color:#57606a}\n"
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.g{fill:#0d1117}.a{stroke:#9198a1}"
    ".h{stroke:#3d444d}\n"
    ".s0{color:#58a6ff}.s1{color:#f0883e}.s2{color:#3fb950}.s3{color:#bc8cff}.s4{color:#ff7b72}"
    ".s5{color:#39c5cf}.s6{color:#d29922}.s7{color:#9198a1}}\n"
    "</style>\n";

/* A series is told by colour, by mark and by dashes, so that no one of them is needed. */
static const char *const dash[4] = {"", " stroke-dasharray=\"7 3\"", " stroke-dasharray=\"2 3\"",
                                    " stroke-dasharray=\"9 3 2 3\""};
enum { COLOURS = 8, MARKS = 6, MARKED = 40 };

static void put_mark(struct pen *pen, uint32_t s, double x, double y) {
  static const char *const path[MARKS] = {"",
                                          "m-4 -4h8v8h-8z",
                                          "m0 -5l5 9h-10z",
                                          "m0 -5.5l5 5.5l-5 5.5l-5 -5.5z",
                                          "m0 5l5 -9h-10z",
                                          "m-4 -4l8 8m0 -8l-8 8"};
  const char *look = s % MARKS == MARKS - 1
                         ? "fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\""
                         : "fill=\"currentColor\"";
  if (s % MARKS == 0) PUT(pen, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"4\" %s", x, y, look);
  else PUT(pen, "<path d=\"M%.2f %.2f%s\" %s", x, y, path[s % MARKS], look);
}

static void put_axes(struct pen *pen, const struct xf_plot_request *r, const struct axis *x,
                     const struct axis *y) {
  const char *x_label = r->x_label ? r->x_label : r->x, *y_label = r->y_label ? r->y_label : r->y;
  for (size_t i = 0; i < y->n_tick; i++) {
    const double v = at(y, y->tick[i]);
    PUT(pen, "<path class=\"h\" d=\"M%.2f %.2fH%.2f\"/>", x->from, v, x->to);
    PUT(pen, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"end\">", x->from - 8, v + 4.5);
    put_label(pen, y, y->tick[i]);
    PUT(pen, "</text>\n");
  }
  for (size_t i = 0; i < x->n_tick; i++) {
    const double v = at(x, x->tick[i]);
    PUT(pen, "<path class=\"a\" d=\"M%.2f %.2fv5\"/>", v, y->from);
    PUT(pen, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\">", v, y->from + 20);
    put_label(pen, x, x->tick[i]);
    PUT(pen, "</text>\n");
  }
  PUT(pen, "<path class=\"a\" fill=\"none\" d=\"M%.2f %.2fV%.2fH%.2f\"/>\n", x->from, y->to,
      y->from, x->to);
  PUT(pen, "<text x=\"%.2f\" y=\"%d\" text-anchor=\"middle\">", (x->from + x->to) / 2, HEIGHT - 14);
  put_text(pen, x_label, 80);
  PUT(pen, "%s</text>\n", x->log ? " (logarithmic)" : "");
  PUT(pen, "<text transform=\"translate(18 %.2f) rotate(-90)\" text-anchor=\"middle\">",
      (y->from + y->to) / 2);
  put_text(pen, y_label, 50);
  PUT(pen, "</text>\n");
}

/* Plus and minus err around the line: up along the upper ends, back along the lower ones. */
static void put_band(struct pen *pen, const struct xf_plot_point *p, size_t n, const struct axis *x,
                     const struct axis *y) {
  PUT(pen, "\n<polygon fill=\"currentColor\" fill-opacity=\".15\" points=\"");
  for (size_t i = 0; i < n; i++)
    PUT(pen, "%s%.2f,%.2f", i ? " " : "", at(x, p[i].x), at(y, p[i].y + p[i].err));
  for (size_t i = n; i > 0; i--)
    PUT(pen, " %.2f,%.2f", at(x, p[i - 1].x), at(y, p[i - 1].y - p[i - 1].err));
  PUT(pen, "\"/>");
}

static void put_series(struct pen *pen, const struct xf_plot *plot, const struct xf_plot_request *r,
                       uint32_t s, const struct axis *x, const struct axis *y) {
  const struct xf_plot_point *p = plot->point, *end = p + plot->n;
  while (p < end && p->series != s) p++;
  const struct xf_plot_point *first = p;
  PUT(pen, "<g class=\"s%u\">", s % COLOURS);
  if (r->series) {
    PUT(pen, "<title>");
    put_text(pen, plot->name[s], XF_PLOT_TEXT);
    PUT(pen, "</title>");
  }
  size_t n = 0;
  while (first + n < end && first[n].series == s) n++;
  if (r->band) put_band(pen, first, n, x, y);
  if (!r->points) {
    PUT(pen, "\n<polyline fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\"%s points=\"",
        dash[s % 4]);
    for (; p < end && p->series == s; p++)
      PUT(pen, "%s%.2f,%.2f", p == first ? "" : " ", at(x, p->x), at(y, p->y));
    PUT(pen, "\"/>");
  }
  if (r->band && n > MARKED) n = 0; /* a mark for every point would hide the line */
  for (p = first; p < first + n; p++) {
    const double cx = at(x, p->x), low = at(y, p->y - p->err), high = at(y, p->y + p->err);
    if (p->err > 0 && !r->band)
      PUT(pen,
          "\n<path stroke=\"currentColor\" stroke-width=\"1.5\" "
          "d=\"M%.2f %.2fV%.2fM%.2f %.2fh8M%.2f %.2fh8\"/>",
          cx, low, high, cx - 4, low, cx - 4, high);
    PUT(pen, "\n");
    put_mark(pen, s, cx, at(y, p->y));
    PUT(pen, "><title>");
    put_text(pen, plot->name[s], XF_PLOT_TEXT);
    PUT(pen, "%s", r->series ? ": " : "");
    put_text(pen, r->x, XF_PLOT_TEXT);
    PUT(pen, " %.10g, ", p->x);
    put_text(pen, r->y, XF_PLOT_TEXT);
    PUT(pen, " %.6g", p->y);
    if (p->err > 0) PUT(pen, " \xc2\xb1 %.3g", p->err);
    PUT(pen, "</title></%s>", s % MARKS ? "path" : "circle");
  }
  PUT(pen, "</g>\n");
}

/* What a screen reader says: the axes, and each series' first and last point. */
static void put_description(struct pen *pen, const struct xf_plot *plot,
                            const struct xf_plot_request *r) {
  put_text(pen, r->y, XF_PLOT_TEXT);
  PUT(pen, " against ");
  put_text(pen, r->x, XF_PLOT_TEXT);
  PUT(pen, "%s.", r->logx ? " on a logarithmic axis" : "");
  if (r->err) {
    PUT(pen, " Bars: plus and minus ");
    put_text(pen, r->err, XF_PLOT_TEXT);
    PUT(pen, ".");
  }
  if (r->band) PUT(pen, " Bands: plus and minus one deviation over seeds.");
  for (uint32_t s = 0; s < plot->n_series; s++) {
    const struct xf_plot_point *first = NULL, *last = NULL;
    for (size_t i = 0; i < plot->n; i++)
      if (plot->point[i].series == s) {
        if (!first) first = &plot->point[i];
        last = &plot->point[i];
      }
    if (!first) continue;
    PUT(pen, " ");
    put_text(pen, plot->name[s], XF_PLOT_TEXT);
    PUT(pen, "%s%.6g at %.10g", r->series ? ": " : "From ", first->y, first->x);
    if (last != first) PUT(pen, " to %.6g at %.10g", last->y, last->x);
    PUT(pen, ".");
  }
}

static void put_legend(struct pen *pen, const struct xf_plot *plot, const struct xf_plot_request *r,
                       double x) {
  for (uint32_t s = 0; s < plot->n_series; s++) {
    const double y = TOP + 10 + 22.0 * s;
    PUT(pen, "<g class=\"s%u\">", s % COLOURS);
    if (!r->points)
      PUT(pen, "<path stroke=\"currentColor\" stroke-width=\"2\"%s d=\"M%.2f %.2fh28\"/>",
          dash[s % 4], x, y);
    put_mark(pen, s, x + 14, y);
    PUT(pen, "/></g><text x=\"%.2f\" y=\"%.2f\">", x + 36, y + 4.5);
    put_text(pen, plot->name[s], NAME_CHARS);
    PUT(pen, "</text>\n");
  }
}

static size_t characters(const char *s) {
  size_t n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
  return n;
}

enum xf_rc xf_plot_svg(struct xf_buf *out, const struct xf_plot *plot,
                       const struct xf_plot_request *request) {
  const struct xf_plot_request *r = request;
  struct pen pen = {out, XF_OK};
  double x_low = DBL_MAX, x_high = -DBL_MAX, y_low = DBL_MAX, y_high = -DBL_MAX;
  size_t longest = 0;
  for (size_t i = 0; i < plot->n; i++) {
    const struct xf_plot_point *p = &plot->point[i];
    x_low = fmin(x_low, p->x);
    x_high = fmax(x_high, p->x);
    y_low = fmin(y_low, p->y - p->err);
    y_high = fmax(y_high, p->y + p->err);
  }
  for (uint32_t s = 0; s < plot->n_series; s++) {
    const size_t n = characters(plot->name[s]);
    if (n > longest) longest = n;
  }
  if (longest > NAME_CHARS) longest = NAME_CHARS + 1;
  const double legend = r->series ? 60 + 7.5 * (double)longest : 24;
  struct axis x = {.log = r->logx, .from = LEFT, .to = WIDTH - legend};
  struct axis y = {.from = HEIGHT - BOTTOM, .to = TOP};
  if (r->logx) log_axis(&x, x_low, x_high);
  else linear_axis(&x, x_low, x_high);
  linear_axis(&y, y_low, y_high);

  PUT(&pen,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
      "role=\"img\" aria-labelledby=\"title desc\">\n<title id=\"title\">",
      WIDTH, HEIGHT, WIDTH, HEIGHT);
  for (int shown = 0; shown < 2; shown++) {
    if (r->title) {
      put_text(&pen, r->title, 100);
    } else {
      put_text(&pen, r->y, XF_PLOT_TEXT);
      PUT(&pen, " by ");
      put_text(&pen, r->x, XF_PLOT_TEXT);
    }
    if (shown) break;
    PUT(&pen, "</title>\n<desc id=\"desc\">");
    put_description(&pen, plot, r);
    PUT(&pen, "</desc>\n%s<rect class=\"g\" width=\"%d\" height=\"%d\"/>\n", style, WIDTH, HEIGHT);
    PUT(&pen, "<text class=\"t\" x=\"%d\" y=\"26\">", LEFT);
  }
  PUT(&pen, "</text>\n");
  put_axes(&pen, r, &x, &y);
  for (uint32_t s = 0; s < plot->n_series; s++) put_series(&pen, plot, r, s, &x, &y);
  if (r->series) put_legend(&pen, plot, r, WIDTH - legend + 18);
  PUT(&pen, "</svg>\n");
  return pen.rc;
}
