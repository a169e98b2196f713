"""The page of `cedar-gate matrix --format html` as a reader meets it: filter, cells, keyboard, both schemes, paper, no script;
and with policies that would like to be mark-up. `SCREENSHOTS=DIR` keeps pictures."""

import base64
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from browser import Browser

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CEDAR_GATE = (REPOSITORY / os.environ.get("CEDAR_GATE", "target/debug/cedar-gate")).resolve()
SCREENSHOTS = os.environ.get("SCREENSHOTS")

HOSTILE = r'''
@id("hostile")
@description("</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'> \"quoted\" & done \u{202e}")
permit (principal is User, action == Action::"GET /users/{userId}", resource)
when {
  // </pre><img src=x onerror="window.hacked = 3"><!--
  context.params.userId == "</script><script>window.hacked = 4</script><!-- <svg onload=alert(1)>"
};
'''

# The contrast of a text with what is behind it (WCAG 2.1, 1.4.3: at least 4.5).
CONTRAST = '''(() => {
  const luminance = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)|transparent/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return ["td.a button", "td.i button", "td.d button", "thead th", "tbody th", "p.quiet", "li code"].map((name) => {
    const element = document.querySelector(name);
    const [one, other] = [getComputedStyle(element).color, ground(element)].map(luminance);
    return [name, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)];
  });
})()'''


def page(folder, *extra):
    """A page of the bundle in a folder; its path."""
    made = subprocess.run([CEDAR_GATE, "matrix", "--bundle", folder, "--format", "html", *extra],
                          check=True, capture_output=True)
    path = pathlib.Path(folder) / "matrix.html"
    path.write_bytes(made.stdout)
    return path


def copy_of_example():
    folder = tempfile.mkdtemp()
    for part in ("policies", "schema"):
        shutil.copytree(REPOSITORY / part, pathlib.Path(folder) / part)
    return folder


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = copy_of_example()
        cls.path = page(cls.folder)
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        shutil.rmtree(cls.folder)

    def setUp(self):
        self.open(self.path)

    def tearDown(self):
        self.browser.call("Emulation.setEmulatedMedia", media="", features=[])
        self.browser.call("Emulation.setScriptExecutionDisabled", value=False)
        self.assertEqual(self.browser.complaints, [])

    def open(self, path):
        self.browser.complaints.clear()
        self.browser.requests.clear()
        self.browser.open(path.as_uri())

    def ask(self, expression):
        return self.browser.ask(expression)

    def picture(self, name):
        if SCREENSHOTS:
            self.browser.screenshot(pathlib.Path(SCREENSHOTS) / f"{name}.png")

    def visible_rows(self):
        return self.ask("[...document.querySelectorAll('tbody tr')].filter((row) => !row.hidden)"
                        ".map((row) => row.cells[0].textContent)")

    def visible_columns(self):
        return self.ask("[...document.querySelectorAll('thead tr:last-child th')].filter((head) => !head.hidden)"
                        ".map((head) => head.textContent)")

    CELL = "[...document.querySelectorAll('tbody tr')].find((row) => row.cells[0].textContent === {!r}).cells[{}]"

    def test_it_is_a_matrix_and_asks_for_nothing_else(self):
        self.picture("light")
        rows = self.visible_rows()
        self.assertEqual(len(rows), 10)
        self.assertIn("PUT /orders/{orderId}", rows)
        self.assertEqual(len(self.visible_columns()), 20)
        cells = self.ask("[...document.querySelectorAll('tbody tr')].map((row) => row.cells.length)")
        self.assertEqual(set(cells), {21})
        groups = self.ask("[...document.querySelectorAll('thead tr:first-child th')].slice(1).map((head) => head.textContent)")
        self.assertEqual(groups, ["User", "Client", "User of globex", "Client of globex"])
        self.assertEqual(self.browser.requests, [self.path.as_uri()])
        self.assertNotRegex(self.path.read_text(), r"https?://(?!cognito)")

    def test_the_heads_stay_in_sight(self):
        self.ask("document.querySelector('.frame').style.height = '150px'")
        self.ask("document.querySelector('.frame').style.width = '500px'")
        self.ask("document.querySelector('.frame').scrollTo(150, 120)")
        places = self.ask('''(() => {
          const place = (element) => { const r = element.getBoundingClientRect(); return [r.x, r.y]; };
          const frame = place(document.querySelector('.frame'));
          const corner = place(document.querySelector('.corner'));
          const role = place(document.querySelector('thead tr:last-child th'));
          const row = place(document.querySelector('tbody tr:last-child th'));
          const scrolled = document.querySelector('.frame');
          return { frame, corner, role, row, scrolled: [scrolled.scrollLeft, scrolled.scrollTop] };
        })()''')
        self.assertEqual(places["scrolled"], [150, 120])
        self.assertAlmostEqual(places["corner"][0], places["frame"][0], delta=2)
        self.assertAlmostEqual(places["corner"][1], places["frame"][1], delta=2)
        self.assertAlmostEqual(places["role"][1], places["frame"][1] + 31.5, delta=4)
        self.assertAlmostEqual(places["row"][0], places["frame"][0], delta=2)

    def test_the_filter_finds_operations_policies_and_roles(self):
        self.browser.click("document.getElementById('search')")
        self.browser.type("archive-is-frozen")
        self.assertEqual(self.visible_rows(), ["PUT /orders/{orderId}", "DELETE /orders/{orderId}"])
        self.assertEqual(self.ask("document.getElementById('shown').textContent"), "2 of 10 operations, 20 of 20 columns")
        self.browser.type(" delete")
        self.assertEqual(self.visible_rows(), ["DELETE /orders/{orderId}"])
        self.ask("(() => { const role = document.getElementById('role'); role.value = 'clerk';"
                 " role.dispatchEvent(new Event('input')); })()")
        self.assertEqual(self.visible_columns(), ["clerk"] * 4)
        self.browser.click("document.querySelectorAll('input[name=group]')[1]")
        self.assertEqual(self.visible_columns(), ["clerk"] * 3)
        widths = self.ask("[...document.querySelectorAll('thead tr:first-child th')].slice(1)"
                          ".filter((head) => !head.hidden).map((head) => head.colSpan)")
        self.assertEqual(widths, [1, 1, 1])
        self.picture("filtered")

    def test_a_cell_opens_what_is_behind_it(self):
        # The second column is a User with role admin.
        self.browser.click(self.CELL.format("PUT /orders/{orderId}", 2) + ".firstElementChild")
        self.assertTrue(self.ask("document.getElementById('cell').open"))
        self.picture("cell")
        self.assertEqual(self.ask("document.getElementById('cell-title').textContent"),
                         "a User with role admin: PUT /orders/{orderId}")
        text = self.ask("document.getElementById('cell-body').innerText")
        for expected in ('unless context.params.orderId like "archive-*"', "forbid archive-is-frozen",
                         "policies/v1/orders.cedar:29", "Orders of the archive are kept as they are.",
                         "permit clerks-keep-orders", 'principal in Role::"clerk"'):
            self.assertIn(expected, text)
        self.browser.key("Escape")
        self.assertFalse(self.ask("document.getElementById('cell').open"))
        self.browser.click(self.CELL.format("GET /orders", 1) + ".firstElementChild")
        self.assertIn("denied by default", self.ask("document.getElementById('cell-body').innerText"))
        self.browser.click("document.getElementById('close')")
        self.assertFalse(self.ask("document.getElementById('cell').open"))

    def test_the_keyboard_is_enough(self):
        self.ask(self.CELL.format("GET /orders", 1) + ".firstElementChild.focus()")
        self.browser.key("ArrowRight")
        self.browser.key("ArrowDown")
        self.assertEqual(self.ask("[document.activeElement.parentElement.cellIndex,"
                                  " document.activeElement.closest('tr').cells[0].textContent]"), [2, "POST /orders"])
        self.browser.key("Enter")
        self.assertEqual(self.ask("document.getElementById('cell-title').textContent"), "a User with role admin: POST /orders")
        self.browser.key("Escape")
        self.assertEqual(self.ask("document.activeElement.closest('tr').cells[0].textContent"), "POST /orders")

    def test_it_can_be_read_in_light_and_in_dark(self):
        grounds = []
        for scheme in ("light", "dark"):
            self.browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            grounds.append(self.ask("getComputedStyle(document.body).backgroundColor"))
            for name, contrast in self.ask(CONTRAST):
                self.assertGreaterEqual(contrast, 4.5, f"{name} in {scheme}")
        self.assertNotEqual(*grounds)
        self.picture("dark")

    def test_it_can_be_printed(self):
        self.browser.call("Emulation.setEmulatedMedia", media="print")
        self.assertEqual(self.ask("getComputedStyle(document.querySelector('.controls')).display"), "none")
        self.assertEqual(self.ask("getComputedStyle(document.querySelector('.frame')).maxHeight"), "none")
        printed = self.browser.call("Page.printToPDF", landscape=True, printBackground=True)["data"]
        self.assertTrue(base64.b64decode(printed).startswith(b"%PDF"))

    def test_without_a_script_the_table_is_there(self):
        self.browser.call("Emulation.setScriptExecutionDisabled", value=True)
        self.open(self.path)
        tree = self.browser.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        cells = self.browser.call("DOM.querySelectorAll", nodeId=tree, selector="tbody td")["nodeIds"]
        self.assertEqual(len(cells), 200)
        hidden = self.browser.call("DOM.querySelectorAll", nodeId=tree, selector=".controls[hidden]")["nodeIds"]
        self.assertEqual(len(hidden), 1)

    def test_what_policies_say_is_text_and_no_mark_up(self):
        folder = copy_of_example()
        try:
            (pathlib.Path(folder) / "policies/v1/hostile.cedar").write_text(HOSTILE)
            self.open(page(folder))
            self.browser.click(self.CELL.format("GET /users/{userId}", 1) + ".firstElementChild")
            text = self.ask("document.getElementById('cell-body').innerText")
            self.assertIn("</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>", text)
            self.assertIn('// </pre><img src=x onerror="window.hacked = 3"><!--', text)
            self.assertIsNone(self.ask("window.hacked"))
            self.assertEqual(self.ask("document.querySelectorAll('img, svg, script:not(#data)').length"), 1)
            self.assertNotIn("\u202e", (pathlib.Path(folder) / "matrix.html").read_text())
            self.assertIsNone(self.ask("document.querySelector('details').open = true, window.hacked"))
        finally:
            shutil.rmtree(folder)

    def test_the_policy_of_the_page_refuses_other_scripts(self):
        self.ask("(() => { const script = document.createElement('script'); script.textContent = 'window.hacked = 5';"
                 " document.body.append(script); })()")
        self.assertIsNone(self.ask("window.hacked"))
        self.assertTrue(any("Content Security Policy" in complaint for complaint in self.browser.complaints))
        self.browser.complaints.clear()


if __name__ == "__main__":
    unittest.main()
