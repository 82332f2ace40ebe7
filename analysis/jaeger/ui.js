// Jaeger's UI for traces of whywait: links to the span that delayed a request; the important tags come first.
//
//   Jaeger v2:  extensions: {jaeger_query: {ui: {config_file: /etc/jaeger/ui.js}}}
//   by flag:    jaeger --set=extensions.jaeger_query.ui.config_file=/etc/jaeger/ui.js
//
// Jaeger takes JSON too, but only JavaScript can open the lists: the occupants of a pool and the holders of the GIL
// are parallel arrays, longest share first, and a link opens one of them.
function UIConfig() {
  const SHOWN = 5; // of a list; the first is the one that delayed longest

  // To the span itself: the UI marks what it finds.
  const span = (name, traceKey, spanKey, nameKey) => ({
    type: "tags",
    key: traceKey,
    url: "/trace/#{" + traceKey + "}?uiFind=#{" + spanKey + "}",
    text: nameKey ? name + ": #{" + nameKey + "}" : name,
  });

  const list = (text) => {
    try {
      return Array.isArray(text) ? text : JSON.parse(text);
    } catch {
      return [];
    }
  };

  // The nth of parallel arrays; no link where it belonged to no trace.
  const listed = (name, prefix, index) => ({
    type: "tags",
    key: prefix + ".trace_ids",
    value: (value) => Boolean(list(value)[index]),
    url: {
      parameters: [prefix + ".trace_ids", prefix + ".span_ids"],
      template: (data) =>
        "/trace/" + encodeURIComponent(list(data[prefix + ".trace_ids"])[index]) +
        "?uiFind=" + encodeURIComponent(list(data[prefix + ".span_ids"])[index] || ""),
    },
    text: {
      parameters: [prefix + ".names", prefix + ".ns"],
      template: (data) =>
        name + ": " + list(data[prefix + ".names"])[index] +
        ", " + (list(data[prefix + ".ns"])[index] / 1e6).toFixed(1) + " ms",
    },
  });

  const lists = [
    ["delayed it", "whywait.blockers"],
    ["had the pool", "whywait.occupant"],
    ["held the GIL", "whywait.holder"],
    ["had the CPU", "whywait.rival"],
  ].flatMap(([name, prefix]) =>
    Array.from({ length: SHOWN }, (_, index) => listed(name, prefix, index)),
  );

  return {
    criticalPathEnabled: true,
    topTagPrefixes: [
      "whywait.cause", "whywait.culprit", "whywait.wait", "whywait.for", "whywait.blocker.function",
      "whywait.blocker.trace_id", "whywait.blocker.", "whywait.waker", "whywait.lock", "whywait.pool",
      "whywait.occupant", "whywait.blockers", "whywait.holder", "whywait.rival", "whywait.",
      "code.", "thread.", "http.",
    ],
    linkPatterns: [
      span("who delayed it", "whywait.blocker.trace_id", "whywait.blocker.span_id", "whywait.blocker.function"),
      span("who woke it", "whywait.waker.trace_id", "whywait.waker.span_id", "whywait.waker.name"),
      span("who delayed it", "whywait.culprit.trace_id", "whywait.culprit.span_id", "whywait.culprit"),
      span("who made it", "whywait.spawned_by.trace_id", "whywait.spawned_by"),
      ...lists,
    ],
  };
}
