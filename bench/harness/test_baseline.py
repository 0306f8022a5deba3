import unittest

from harness.baseline import Baseline, compare

HERE = {"rustc": "1.95.0", "cpu": "avx2"}
BASELINE = Baseline(HERE, {"parse_request.get": 1000, "parse_request.set": 2000})


class Gate(unittest.TestCase):
    def compare(self, counts, made_with=None):
        return compare(counts, made_with or HERE, BASELINE)

    def test_equal_counts_pass(self):
        result = self.compare({"parse_request.get": 1000, "parse_request.set": 2000})
        self.assertEqual((result.failures, result.improved), ([], False))

    def test_three_percent_more_is_tolerated_and_no_instruction_beyond(self):
        self.assertEqual(
            self.compare({"parse_request.get": 1030, "parse_request.set": 2000}).failures, []
        )
        result = self.compare({"parse_request.get": 1031, "parse_request.set": 2000})
        self.assertEqual(len(result.failures), 1)
        self.assertIn("parse_request.get takes 1,031", result.failures[0])

    def test_fewer_pass_and_are_told(self):
        result = self.compare({"parse_request.get": 900, "parse_request.set": 2000})
        self.assertEqual((result.failures, result.improved), ([], True))

    def test_a_case_that_is_not_in_both_fails(self):
        result = self.compare({"parse_request.get": 1000, "parse_request.mg": 1})
        self.assertEqual(
            result.failures,
            [
                "parse_request.mg has no baseline",
                "parse_request.set is in the baseline, and was not counted",
            ],
        )

    def test_with_another_compiler_or_processor_nothing_fails_and_both_are_named(self):
        result = self.compare({"parse_request.get": 5000}, {"rustc": "1.96.0", "cpu": "avx2"})
        self.assertEqual((result.failures, result.improved), ([], False))
        self.assertIn("rustc: 1.96.0 here, 1.95.0 in the baseline", result.lines[-1])


if __name__ == "__main__":
    unittest.main()
