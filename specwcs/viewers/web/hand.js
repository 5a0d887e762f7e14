// The hand of the user on the markers of a frame: pick, drag, delete, select, name keys.
// Handles are rows of `places`; those of one shape move together unless `corner` is 0 or more.
// What was done goes to Python as JSON in `post.text`; Python alone knows what it means.
export default ({figure, places, outlines, shafts, box, post, state}, obj, data, {index}) => {
  const REACH = 11      // screen px from a handle within which it is grabbed
  const CLICK = 3       // screen px: a shorter drag is a click
  const TELL = 90       // ms between two places of the cursor
  const STEPS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}

  const view = index.find_one(figure)
  const area = view.canvas_view.events_el
  let cursor = null, drag = null, told = 0, count = 0

  const say = (message) => {
    count += 1
    post.text = JSON.stringify({count, version: state.version, ...message})
  }
  const scales = () => [view.frame.x_scale, view.frame.y_scale]
  const screen = (event) => {
    const {left, top} = area.getBoundingClientRect()
    return [event.clientX - left, event.clientY - top]
  }
  const pixel = ([sx, sy]) => scales().map((scale, axis) => scale.invert([sx, sy][axis]))
  const inside = ([sx, sy]) => view.frame.bbox.contains(sx, sy)
  const mine = (event) => event.composedPath().includes(area)
  const list = (values) => Array.from(values ?? [])

  const nearest = ([sx, sy]) => {
    const [xs, ys] = scales(), {x, y} = places.data
    let best = -1, least = REACH ** 2
    for (let row = 0; row < x.length; row++) {
      const apart = (xs.compute(x[row]) - sx) ** 2 + (ys.compute(y[row]) - sy) ** 2
      if (apart < least) { best = row; least = apart }
    }
    return best
  }
  const chosen = () => places.selected.indices
  const choose = (rows) => { places.selected.indices = [...new Set(rows)] }
  const of_shapes = (rows) => {
    const numbers = new Set(rows.map((row) => places.data.shape[row]))
    return list(places.data.shape.keys()).filter((row) => numbers.has(places.data.shape[row]))
  }

  // Move handles by (dx, dy) px, with all that is drawn of their shapes.
  const move = (rows, dx, dy) => {
    const {x, y, shape, corner} = places.data
    const whole = new Set(rows.filter((row) => corner[row] < 0).map((row) => shape[row]))
    const single = rows.filter((row) => corner[row] >= 0 && !whole.has(shape[row]))
    const shift = (values, row, by) => { values[row] += by }
    for (const row of of_shapes(rows)) {
      if (!whole.has(shape[row])) continue
      shift(x, row, dx); shift(y, row, dy)
    }
    const out = outlines.data
    list(out.shape).forEach((number, row) => {
      if (whole.has(number)) {
        out.xs[row] = list(out.xs[row]).map((v) => v + dx)
        out.ys[row] = list(out.ys[row]).map((v) => v + dy)
      }
    })
    for (const row of single) {
      shift(x, row, dx); shift(y, row, dy)
      const at = list(out.shape).indexOf(shape[row])
      if (at >= 0) {
        for (const [values, by] of [[out.xs, dx], [out.ys, dy]]) {
          values[at] = list(values[at]); values[at][corner[row]] += by
        }
        // The handle in the middle follows its corners.
        of_shapes([row]).filter((other) => corner[other] < 0).forEach((other) => {
          shift(x, other, dx / 4); shift(y, other, dy / 4)
        })
      }
    }
    list(shafts.data.shape).forEach((number, row) => {
      if (!whole.has(number)) return
      shift(shafts.data.x0, row, dx); shift(shafts.data.x1, row, dx)
      shift(shafts.data.y0, row, dy); shift(shafts.data.y1, row, dy)
    })
    for (const source of [places, outlines, shafts]) source.change.emit()
  }
  const tell_moved = (rows, dx, dy) => {
    const {shape, corner} = places.data
    say({kind: "edit", by: [dx, dy], rows: rows.map((row) => [shape[row], corner[row]])})
  }

  const down = (event) => {
    if (event.button !== 0 || !mine(event)) return
    const at = screen(event)
    if (!inside(at)) return
    if (document.activeElement && document.activeElement !== document.body) {
      let active = document.activeElement
      while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement
      active?.blur?.()  // keys go to the frame again
    }
    const row = nearest(at)
    if (row < 0 && !event.shiftKey) {
      drag = {kind: "none", from: at}
      return
    }
    event.preventDefault(); event.stopImmediatePropagation()
    if (row >= 0 && event.shiftKey) {
      const own = of_shapes([row]), now = new Set(chosen())
      const there = own.some((r) => now.has(r))
      own.forEach((r) => there ? now.delete(r) : now.add(r))
      choose([...now])
      return
    }
    if (row < 0) {
      drag = {kind: "select", from: at}
      return
    }
    const several = chosen().includes(row) && of_shapes(chosen()).length > of_shapes([row]).length
    const rows = several ? chosen() : [row]
    if (!several) choose(places.data.corner[row] < 0 ? of_shapes([row]) : [row])
    drag = {kind: "move", from: at, last: pixel(at), start: pixel(at), rows, moved: false}
  }

  const moved = (event) => {
    const at = screen(event)
    if (mine(event)) cursor = inside(at) ? at : null
    if (drag && drag.kind !== "none") {
      event.preventDefault(); event.stopImmediatePropagation()
      const apart = Math.hypot(at[0] - drag.from[0], at[1] - drag.from[1])
      if (drag.kind === "select") {
        const [x0, y0] = pixel(drag.from), [x1, y1] = pixel(at)
        box.setv({left: Math.min(x0, x1), right: Math.max(x0, x1), bottom: Math.min(y0, y1),
                  top: Math.max(y0, y1), visible: true})
      } else if (drag.moved || apart >= CLICK) {
        const now = pixel(at)
        drag.moved = true
        move(drag.rows, now[0] - drag.last[0], now[1] - drag.last[1])
        drag.last = now
      }
      return
    }
    const now = performance.now()
    if (cursor && now - told > TELL) {
      told = now
      say({kind: "cursor", at: pixel(cursor)})
    }
  }

  const up = (event) => {
    if (!drag) return
    const done = drag
    drag = null
    if (done.kind === "none") {
      const at = screen(event)
      if (Math.hypot(at[0] - done.from[0], at[1] - done.from[1]) < CLICK) choose([])
      return
    }
    event.preventDefault(); event.stopImmediatePropagation()
    if (done.kind === "select") {
      const {left, right, bottom, top} = box
      box.visible = false
      const {x, y} = places.data
      const rows = list(x.keys()).filter((row) =>
        x[row] >= left && x[row] <= right && y[row] >= bottom && y[row] <= top)
      choose([...chosen(), ...of_shapes(rows)])
      return
    }
    if (done.moved) {
      const [dx, dy] = [done.last[0] - done.start[0], done.last[1] - done.start[1]]
      tell_moved(done.rows, dx, dy)
    } else {
      say({kind: "picked", row: done.rows[0]})
    }
  }

  const key = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !state.keys) return
    const to = event.composedPath()[0]
    if (event.key === "Enter" && to.blur) setTimeout(() => to.blur())  // keys are the frame's again
    if (/^(input|select|textarea|option)$/i.test(to.tagName ?? "") || to.isContentEditable) return
    if (event.key in STEPS && chosen().length) {
      event.preventDefault()
      const [sx, sy] = STEPS[event.key], step = event.shiftKey ? 0.1 : 1
      const rows = chosen()
      move(rows, sx * step, sy * step)
      tell_moved(rows, sx * step, sy * step)
      return
    }
    if (event.key.length > 1 && event.key !== "Escape") return
    if (event.key === "Escape") choose([])
    const near = cursor ? nearest(cursor) : -1
    say({kind: "key", key: event.key, at: cursor ? pixel(cursor) : null,
         near: near < 0 ? null : places.data.shape[near],
         chosen: [...new Set(chosen().map((row) => places.data.shape[row]))]})
  }

  window.addEventListener("pointerdown", down, true)
  window.addEventListener("pointermove", moved, true)
  window.addEventListener("pointerup", up, true)
  window.addEventListener("keydown", key, true)
}
