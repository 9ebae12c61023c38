import Chain
import Testing

struct ScheduleTests {
    /// √β in equal steps, as Stable Diffusion has it; by hand.
    @Test func theScaledLinearScheduleIsItsFormula() throws {
        let schedule = try Schedule(.scaledLinear(start: 0.00085, end: 0.012), timesteps: 1000)
        var bar = 1.0
        for t in 1...1000 {
            let root = 0.00085.squareRoot() + (0.012.squareRoot() - 0.00085.squareRoot()) * Double(t - 1) / 999
            bar *= 1 - root * root
            #expect(abs(schedule.alphaBar(t) / bar - 1) < 1e-12)
        }
        // What diffusers' table of float32 ends in.
        #expect(abs(bar / 0.0046599 - 1) < 1e-3)
    }

    @Test(arguments: [-0.1, 1.1, .nan, .infinity])
    func offsetNoiseHasBounds(offset: Double) {
        #expect { try Schedule(.cosine(), timesteps: 100, offsetNoise: offset) } throws: {
            ($0 as? ChainError)?.code == .badSchedule
        }
    }

    @Test(arguments: [
        ("linear", Schedule.Kind.linear()), ("cosine", .cosine()), ("sigmoid", .sigmoid()),
        ("betaSigmoid", .betaSigmoid(start: 0.001, end: 0.03)),
    ])
    func agreesWithDiffusersAndThePapers(name: String, kind: Schedule.Kind) throws {
        let golden = try Golden.load()
        let schedule = try Schedule(kind, timesteps: 1000)
        // diffusers' tables are float32; the sigmoid's truth is Double.
        let tolerance = name == "sigmoid" ? 1e-9 : 2e-4
        for (index, expected) in zip(golden.probes, try #require(golden.schedules[name])) {
            #expect(relativeError(schedule.alphaBar(index + 1), expected) < tolerance, "t = \(index + 1)")
        }
    }

    /// diffusers' `rescale_betas_zero_snr`, by its own formula in double.
    @Test(arguments: [("rescaledLinear", Schedule.Kind.linear()), ("rescaledScaledLinear", .scaledLinear())])
    func rescaledAsDiffusersDoes(name: String, kind: Schedule.Kind) throws {
        let golden = try Golden.load(), schedule = try Schedule(kind, timesteps: 1000, isRescaled: true)
        for (index, expected) in zip(golden.probes, try #require(golden.schedules[name])).dropLast() {
            #expect(relativeError(schedule.alphaBar(index + 1), expected) < 1e-8, "t = \(index + 1)")
        }
        #expect(golden.schedules[name]?.last == 0 && schedule.alphaBar(1000) == 0 && schedule.hasZeroTerminalSNR)
        #expect(try schedule != Schedule(kind, timesteps: 1000))
        // Once is enough.
        let again = try Schedule(.table(schedule.betas), timesteps: 1000, isRescaled: true)
        for t in [1, 500, 999] { #expect(relativeError(again.alphaBar(t), schedule.alphaBar(t)) < 1e-9) }
        // A chain that is all noise by its middle cannot be stretched.
        #expect {
            try Schedule(.table(Array(repeating: 0.9, count: 1000)), timesteps: 1000, isRescaled: true)
        } throws: { ($0 as? ChainError)?.code == .badSchedule }
    }

    @Test func aTableIsItself() throws {
        let schedule = try Schedule(.table([0.1, 0.5, 0.25]), timesteps: 3)
        for (t, bar) in [1, 0.9, 0.45, 0.3375].enumerated() {
            #expect(relativeError(schedule.alphaBar(t), bar) < 1e-14)
        }
        #expect(schedule.summary.contains("0.1 to 0.25"))
    }

    @Test func everyTimestepOfAShortLinearChain() throws {
        let expected = try #require(try Golden.load().schedules["linear100"])
        let schedule = try Schedule(.linear(start: 0.001, end: 0.2), timesteps: 100)
        for (index, value) in expected.enumerated() {
            #expect(relativeError(schedule.alphaBar(index + 1), value) < 1e-4)
        }
    }

    @Test func startsAtTheImageAndFalls() throws {
        for kind in [Schedule.Kind.linear(), .cosine(), .sigmoid()] {
            let schedule = try Schedule(kind, timesteps: 1000)
            #expect(schedule.alphaBar(0) == 1)
            #expect(schedule.noiseShare(0) == 0)
            #expect(schedule.snr(0) == .infinity)
            #expect((1...1000).allSatisfy { schedule.alphaBar($0) < schedule.alphaBar($0 - 1) })
            for t in [1, 10, 500, 999] {
                #expect(relativeError(schedule.alphaBar(t) + schedule.noiseShare(t), 1) < 1e-14)
                #expect(relativeError(schedule.snr(t), schedule.alphaBar(t) / schedule.noiseShare(t)) < 1e-12)
            }
        }
    }

    @Test func knownDecibelsOfTheCosineSchedule() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        // The figures of the measured attacks: 9.5 dB at 200, about 0 dB in the middle.
        #expect(abs(schedule.decibels(200) - 9.5) < 0.05)
        #expect(abs(schedule.decibels(500)) < 0.2)
    }

    @Test func invertsTheSignalToNoiseRatioOnTheSafeSide() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        for t in [1, 2, 200, 500, 999, 1000] {
            #expect(schedule.timestep(atLeast: schedule.snr(t)) == t)
            #expect(schedule.timestep(atLeast: schedule.snr(t) * 1.0000001) == t - 1)
        }
        #expect(schedule.timestep(atLeast: 1e12) == 0)
    }

    @Test(arguments: [
        (Schedule.Kind.linear(start: 0, end: 0.02), 1000), (.linear(start: 1e-4, end: 1.5), 1000), (.linear(), 1),
        (.linear(start: .nan, end: 0.02), 10), (.cosine(offset: -1), 1000), (.cosine(offset: .infinity), 1000),
        (.table([0.1, 0.2]), 3), (.table([0.1, 0, 0.2]), 3), (.table([1, 0.2]), 2), (.table([0.1, .nan]), 2),
        (.betaSigmoid(start: 0.1, end: 1.2), 1000), (.sigmoid(start: 3, end: -3, tau: 1), 1000),
        (.sigmoid(start: -3, end: 3, tau: 0), 1000), (.cosine(), 200_000),
    ])
    func refusesWhatIsNoSchedule(kind: Schedule.Kind, timesteps: Int) {
        #expect { try Schedule(kind, timesteps: timesteps) } throws: { ($0 as? ChainError)?.code == .badSchedule }
    }

    @Test func noiseCannotBePredictedWhereNothingIsLeft() throws {
        let schedule = try Schedule(.linear(start: 1e-3, end: 1), timesteps: 50)
        #expect(schedule.hasZeroTerminalSNR)
        #expect { try Prediction.epsilon.check(on: schedule) } throws: { ($0 as? ChainError)?.code == .zeroTerminalSNR }
        try Prediction.v.check(on: schedule)
        try Prediction.epsilon.check(on: Schedule(.cosine(), timesteps: 50))
    }

    @Test func cutsLieBetweenImageAndNoise() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        #expect(try Cut(1, on: schedule).timestep == 1)
        #expect(try Cut(999, on: schedule).timestep == 999)
        for cut in [-3, 0, 1000, 1001] {
            #expect { try Cut(cut, on: schedule) } throws: { ($0 as? ChainError)?.code == .cutOutOfRange }
        }
    }

    @Test func forwardStepsCompose() throws {
        let schedule = try Schedule(.cosine(), timesteps: 1000)
        for (s, t) in [(200, 201), (200, 900), (1, 1000), (500, 501), (0, 500), (998, 1000)] {
            let step = ForwardStep(from: s, to: t, on: schedule)
            // ᾱ_s·r = ᾱ_t, and the noise adds up: r·(1 − ᾱ_s) + (1 − r) = 1 − ᾱ_t.
            #expect(relativeError(schedule.alphaBar(s) * step.signal, schedule.alphaBar(t)) < 1e-12)
            #expect(relativeError(step.signal * schedule.noiseShare(s) + step.noise, schedule.noiseShare(t)) < 1e-12)
            #expect(relativeError(step.addedShare + step.earlierShare, 1) < 1e-12)
            if s == 0 { #expect(step.addedShare == 1) }
        }
        // Right at the cut: λ from neighbours keeps its digits, since it is β_t/(1 − ᾱ_t).
        let step = ForwardStep(from: 500, to: 501, on: schedule)
        #expect(relativeError(step.addedShare, schedule.betas[500] / schedule.noiseShare(501)) < 1e-12)
    }
}
