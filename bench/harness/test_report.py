import pathlib
import tempfile
import unittest
import xml.etree.ElementTree

from harness.report import Results, Sample, replace


def results(wide=False):
    results = Results("Title", "requests/s", wide)
    for ours, peer in [(90, 210), (100, 200), (120, 190)]:
        results.add(Sample("64 × 1", "tokio", ours, cpu=2.0, ours=True))
        results.add(Sample("64 × 1", "peer <1>", peer, cpu=1.0, more={"load": 50.0}))
    return results


class Report(unittest.TestCase):
    def test_a_row_has_median_spread_ratio_and_cpu(self):
        self.assertEqual(
            results().markdown().splitlines()[2:],
            [
                "| 64 × 1 | **tokio** | 100 | 30 % | 1.00 | 2.00 µs |  |",
                "|  | peer <1> | 200 | 10 % | 0.50 | 1.00 µs | 50.0 |",
            ],
        )

    def test_wide_a_case_has_one_line_and_cases_that_begin_alike_one_table(self):
        both = results(wide=True)
        both.add(Sample("write: a", "tokio", 7, ours=True))
        self.assertEqual(
            both.markdown().splitlines(),
            [
                "|  | tokio | peer <1> |",
                "| --- | --: | --: |",
                "| 64 × 1 | 100 ± 15 % | 200 ± 5 % (0.50) |",
                "",
                "| write | tokio |",
                "| --- | --: |",
                "| a | 7.00 ± 0 % |",
            ],
        )

    def test_csv_has_every_sample_and_the_chart_is_xml(self):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name, "out")
            results().write_csv(path)
            lines = path.read_text(encoding="utf-8").splitlines()
            self.assertEqual(lines[0], "case,name,ours,round,requests/s,cpu_us_each,load")
            self.assertIn("64 × 1,tokio,1,2,100,2.0,", lines)
            self.assertEqual(len(lines), 7)
            results().write_svg(path)
            self.assertEqual(xml.etree.ElementTree.parse(path).getroot().get("height"), "92")

    def test_only_what_is_between_a_groups_markers_is_replaced(self):
        document = "a\n<!-- bench/run x -->\nold\n<!-- end of x -->\nb\n"
        self.assertEqual(
            replace(document, "x", r"\1 new"),
            "a\n<!-- bench/run x -->\n\n\\1 new\n\n<!-- end of x -->\nb\n",
        )
        with self.assertRaises(ValueError):
            replace(document, "y", "new")


if __name__ == "__main__":
    unittest.main()
