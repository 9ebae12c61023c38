import Testing

@testable import Monitoring

/// Prometheus' text format 0.0.4, line by line.
struct ExpositionTests {
    @Test func familiesAreWrittenAsPrometheusReadsThem() {
        var page = Exposition()
        page.gauge("workers", "Workers.", [(["role": "train"], 1), (["role": "de\"no\\ise\n"], 4)])
        page.counter("jobs", "Jobs.", 12)
        page.gauge("load", "Load.", 0.25)
        #expect(
            page.text == """
                # HELP collafuse_workers Workers.
                # TYPE collafuse_workers gauge
                collafuse_workers{role="train"} 1
                collafuse_workers{role="de\\"no\\\\ise\\n"} 4
                # HELP collafuse_jobs_total Jobs.
                # TYPE collafuse_jobs_total counter
                collafuse_jobs_total 12
                # HELP collafuse_load Load.
                # TYPE collafuse_load gauge
                collafuse_load 0.25

                """)
    }

    /// Buckets are cumulative and end with all; what is longer than every bound is in the last alone.
    @Test func histogramsAddUp() {
        var durations = DurationHistogram()
        for milliseconds: Int64 in [1, 2, 3, 4_000_000] { durations.record(nanoseconds: milliseconds * 1_000_000) }
        var page = Exposition()
        page.histogram("wait", "Wait.", durations)
        for line in [
            "collafuse_wait_seconds_bucket{le=\"0.0005\"} 0", "collafuse_wait_seconds_bucket{le=\"0.001\"} 1",
            "collafuse_wait_seconds_bucket{le=\"0.0025\"} 2", "collafuse_wait_seconds_bucket{le=\"0.005\"} 3",
            "collafuse_wait_seconds_bucket{le=\"1800\"} 3", "collafuse_wait_seconds_bucket{le=\"+Inf\"} 4",
            "collafuse_wait_seconds_sum 4000.006", "collafuse_wait_seconds_count 4",
        ] {
            #expect(page.text.contains(line + "\n"), "\(line)")
        }
    }

    /// A hundred values in the bucket from 10 to 25 ms: its quantiles lie on a straight line.
    @Test func quantilesAreStraightWithinABucket() {
        var durations = DurationHistogram()
        for _ in 0..<100 { durations.record(nanoseconds: 20_000_000) }
        #expect(abs(durations.quantile(0.5) - 0.0175) < 1e-9)
        #expect(abs(durations.quantile(1) - 0.025) < 1e-9)
        let before = durations
        durations.record(nanoseconds: 40_000_000)
        #expect(durations.since(before).count == 1)
        #expect(durations.since(before).quantile(0.5) > 0.025)
        #expect(DurationHistogram().quantile(0.99) == 0)
    }

    @Test(arguments: [
        ("9464", "127.0.0.1:9464"), ("0.0.0.0:80", "0.0.0.0:80"), ("[::1]:9464", "[::1]:9464"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ])
    func addressesAreRead(_ text: String, _ description: String) {
        #expect(ListenAddress(text)?.description == description)
    }

    @Test(arguments: [
        "", ":", "host:1", "1.2.3:4", "127.0.0.1:", "127.0.0.1:70000", "-1", "1.2.3.4.5:6", "[zz]:1", "256.0.0.1:1",
    ])
    func whatIsNoAddressIsRefused(_ text: String) { #expect(ListenAddress(text) == nil) }
}
