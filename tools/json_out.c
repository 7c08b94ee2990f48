#include "tools/json_out.h"

#include <stdio.h>

enum xf_rc xf_tool_json(struct xf_buf *buf, struct xf_jsonw *w) {
  enum xf_rc rc = xf_jsonw_finish(w);
  if (!rc) rc = xf_buf_put_u8(buf, '\n');
  if (!rc && fwrite(buf->p, 1, buf->len, stdout) != buf->len) rc = XF_E_IO;
  return rc;
}
