"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const policies = new Map(data.policies.map((policy) => [policy.id, policy]));
  const table = document.getElementById("matrix");
  const rows = [...table.tBodies[0].rows];
  const columns = [...table.tHead.rows[1].cells];
  const groups = [...table.tHead.rows[0].cells].slice(1);
  const search = document.getElementById("search");
  const role = document.getElementById("role");
  const shown = document.getElementById("shown");
  const boxes = [...document.querySelectorAll("input[name=group]")];

  // What a row can be found by: its operation, its tags, and the policies behind its cells.
  const found = data.rows.map((row) => {
    const parts = row.cells.flatMap((cell) => [cell.text, ...cell.permits, ...cell.forbids]);
    const names = parts.map((part) => (typeof part === "string" ? part : part.policy));
    return [row.operation, row.route, ...row.tags, ...names].join("\n").toLowerCase();
  });

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => found[index].includes(word));
      count += row.hidden ? 0 : 1;
    });
    const visible = data.people.map((person) =>
      boxes[person.group].checked && (role.value === "" || person.roles === role.value));
    const changed = visible.map((is, column) => columns[column].hidden === is);
    visible.forEach((is, column) => { columns[column].hidden = !is; });
    for (const row of rows) {
      visible.forEach((is, column) => { if (changed[column]) row.cells[column + 1].hidden = !is; });
    }
    groups.forEach((head, group) => {
      const width = data.people.filter((person, column) => person.group === group && visible[column]).length;
      head.hidden = width === 0;
      if (width > 0) head.colSpan = width;
    });
    const people = visible.filter(Boolean).length;
    shown.textContent = `${count} of ${rows.length} operations, ${people} of ${visible.length} columns`;
  };

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const policy = (part) => {
    const known = policies.get(part.policy);
    const section = element("section", undefined, "policy");
    section.append(element("h3", `${known.effect} ${known.id}`));
    section.append(element("p", `${known.file}:${known.line}`, "quiet"));
    if (known.description) section.append(element("p", known.description));
    if (part.condition !== "true") {
      section.append(element("p", "What is left of its condition:"), element("pre", part.condition));
    } else {
      section.append(element("p", "It always applies here."));
    }
    section.append(element("p", "As it is written:"), element("pre", known.text));
    return section;
  };

  const dialog = document.getElementById("cell");
  const show = (rowIndex, column) => {
    const row = data.rows[rowIndex];
    const cell = row.cells[row.of[column]];
    const body = document.getElementById("cell-body");
    document.getElementById("cell-title").textContent = `${data.people[column].name}: ${row.operation}`;
    body.replaceChildren(element("pre", cell.text));
    const said = { allow: "Every such request is allowed.", deny: "No such request is allowed.",
      if: "Allowed under this condition; a policy that cannot be evaluated makes it a deny." };
    body.append(element("p", said[cell.may]));
    const parts = [...cell.forbids, ...cell.permits];
    if (parts.length === 0) body.append(element("p", "No policy that could apply permits it: denied by default."));
    parts.forEach((part) => body.append(policy(part)));
    dialog.showModal();
  };

  table.addEventListener("click", (event) => {
    const cell = event.target.closest("td");
    if (cell) show(Number(cell.parentElement.dataset.row), cell.cellIndex - 1);
  });
  // The arrows lead from cell to cell.
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!cell || !step) return;
    event.preventDefault();
    let [row, column] = [cell.parentElement.sectionRowIndex, cell.cellIndex];
    for (;;) {
      [row, column] = [row + step[0], column + step[1]];
      const next = rows[row]?.cells[column];
      if (!next || next.tagName !== "TD") return;
      if (!next.hidden && !rows[row].hidden) {
        next.firstElementChild.focus();
        return;
      }
    }
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.getElementById("close").addEventListener("click", () => dialog.close());
  [search, role, ...boxes].forEach((input) => input.addEventListener("input", filter));
  for (const hidden of document.querySelectorAll(".controls, .hint")) hidden.hidden = false;
  filter();
})();
