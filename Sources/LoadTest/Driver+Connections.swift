internal import DequeModule
internal import Exchange
internal import Fabric
internal import HeapModule
internal import Topology
internal import Wire
internal import Workbench
internal import ZeroMQ

/// Connections: what comes in over them, what the clients' machines make of it, and what they want done when.
extension Driver {
    func read(_ place: Int) throws {
        guard let connection = clients[place].connection, !clients[place].isLookingAway else { return }
        var hasRead = false
        while clients[place].connection === connection, let reception = try connection.receive() {
            hasRead = true
            let now = Moment.now()
            let actions: [LinkAction<ClientCore.Event>]
            switch reception {
            case .nothing: return
            case .refused(let refusal, _):
                actions = clients[place].core.receivedGarbage(
                    WireError(.malformed, "the message was not read: \(refusal)"), at: now)
            case .message(let message):
                do throws(WireError) {
                    actions = clients[place].core.receive(try Frames(parts: message.parts), at: now)
                } catch {
                    actions = clients[place].core.receivedGarbage(error, at: now)
                }
            }
            try carryOut(actions, place)
        }
        if hasRead, clients[place].isSlow, start != nil, clients[place].connection === connection {
            clients[place].isLookingAway = true
            try connection.leave(poll)
            let pause = settings.plan.tenants[clients[place].tenant].slowPause.nanoseconds
            alarms.insert(Alarm(at: Moment.now().uptime + pause, client: place, kind: .look))
        }
        setAlarm(place)
    }

    func carryOut(_ actions: [LinkAction<ClientCore.Event>], _ place: Int) throws {
        for action in actions {
            switch action {
            case .event(let event): hear(event, place)
            case .send(let frames):
                guard let connection = clients[place].connection else { continue }
                guard try connection.send(frames.parts(sequence: frames.control.sequence)) else {
                    try open(place)
                    return
                }
                if connection.isBlocked { blocked.insert(place) }
            case .reconnect:
                try open(place)
                return
            case .move:
                clients[place].broker += 1
                try open(place)
                return
            case .close: break
            }
        }
        setAlarm(place)
    }

    func hear(_ event: ClientCore.Event, _ place: Int) {
        let now = Moment.now().uptime
        switch event {
        case .welcomed(let welcome):
            if !clients[place].isWelcomed {
                clients[place].isWelcomed = true
                opening -= 1
                let took = now - clients[place].openedAt
                board.count { $0.connect.record(took) }
                board.isWelcomed(1)
            }
            if place == 0 { maker.accept(poolKeyBundle: welcome.keyBundle) }
        case .keys(let bundle): if place == 0 { maker.accept(poolKeyBundle: bundle) }
        case .lost(let loss):
            if clients[place].isWelcomed {
                clients[place].isWelcomed = false
                opening += 1
                board.isWelcomed(-1)
            }
            board.count { $0.sessionsLost += 1 }
            board.note(loss.reason)
        case .accepted(let id):
            isStored(id, at: now)
            guard let job = jobs[id], job.accepted == nil, !job.hasResult else { break }
            jobs[id]?.accepted = now
            log?.accepts(id)
            board.count { tally in
                tally.tenants[job.tenant].counts.accepted += 1
                tally.accept.record(now - job.due)
            }
        case .rejected(let id, let code, let message, let retryAfter):
            board.count { $0.rejects["\(code)", default: 0] += 1 }
            board.note(message)
            guard retryAfter == nil else { break }
            log?.ends(id, "\(code)")
            fail(id) { $0.refused += 1 }
        case .conflict(let id, let message):
            board.count { $0.rejects["conflict", default: 0] += 1 }
            log?.ends(id, "conflict")
            board.note(message)
            fail(id) { $0.refused += 1 }
        case .ended(let id, let code, let message):
            board.count { $0.ends["\(code)", default: 0] += 1 }
            log?.ends(id, "\(code)")
            board.note(message)
            fail(id) { $0.ended += 1 }
        case .result(let id, let header, let sealed):
            guard let job = jobs[id], !job.hasResult else {
                if jobs[id] != nil || maker.made(id) {
                    board.count { $0.duplicates += 1 }
                } else if log?.hasSurfaced(id) != true {
                    // One that an earlier life of this generator judged came again as it should.
                    board.count { $0.strays += 1 }
                }
                if jobs[id] == nil { strays.append((id, place)) }
                break
            }
            // Its ACCEPTED is on its way, or went down with a connection.
            if job.accepted == nil {
                unconfirmed[id] = job.due
                log?.accepts(id)
                board.count { $0.tenants[job.tenant].counts.accepted += 1 }
            }
            if now - job.due > settings.plan.timeout.nanoseconds { timeOut(id) }
            jobs[id]?.hasResult = true
            jobs[id]?.kept += sealed.count
            kept += sealed.count
            results.append((id, header, sealed, now))
        case .ackStored(let id): isStored(id, at: now)
        case .preview, .status: break
        }
    }

    /// The broker says so of a job whose result it had handed over before.
    private func isStored(_ id: JobID, at now: Int64) {
        guard let due = unconfirmed.removeValue(forKey: id) else { return }
        board.count { $0.accept.record(now - due) }
    }

    func openMore() throws {
        while unopened > 0, opening < Self.mostOpening {
            opening += 1
            unopened -= 1
            try open(clients.count - unopened - 1)
        }
    }

    /// A fresh connection; the session on the last one is over.
    func open(_ place: Int) throws {
        if let old = clients[place].connection {
            if !clients[place].isLookingAway { try old.leave(poll) }
            try old.abandon()
        }
        blocked.remove(place)
        if clients[place].isWelcomed {
            clients[place].isWelcomed = false
            opening += 1
            board.isWelcomed(-1)
        }
        let broker = settings.brokers[clients[place].broker % settings.brokers.count]
        let connection = try LinkConnection(
            context, broker, clients[place].identity, LinkSettings(), isWatched: false)
        clients[place].connection = connection
        clients[place].openedAt = Moment.now().uptime
        clients[place].isLookingAway = false
        try connection.join(poll, as: place)
        try carryOut(clients[place].core.opened(at: .now()), place)
        try read(place)
    }

    func planDrop(_ place: Int, after now: Int64) {
        guard let life = settings.plan.tenants[clients[place].tenant].churn else { return }
        let at = now + Int64(Double(life.nanoseconds) * random.exponential())
        if at < end { alarms.insert(Alarm(at: at, client: place, kind: .drop)) }
    }

    func setAlarm(_ place: Int) {
        guard let deadline = clients[place].core.nextDeadline, deadline < clients[place].alarm else { return }
        clients[place].alarm = deadline
        alarms.insert(Alarm(at: deadline, client: place, kind: .machine))
    }

    func ring() throws {
        let now = Moment.now()
        while true {
            // Before each: thousands may ring at once, as clients that came into session together.
            try keepTime()
            guard let alarm = alarms.min, alarm.at <= now.uptime else { break }
            alarms.removeMin()
            let place = alarm.client
            switch alarm.kind {
            case .machine:
                // An alarm that was set anew for an earlier moment leaves this one behind.
                guard alarm.at == clients[place].alarm else { continue }
                clients[place].alarm = .max
                if let deadline = clients[place].core.nextDeadline, deadline <= now.uptime {
                    try carryOut(clients[place].core.tick(at: now), place)
                    try read(place)
                }
                setAlarm(place)
            case .look:
                guard clients[place].isLookingAway else { continue }
                clients[place].isLookingAway = false
                try clients[place].connection?.join(poll, as: place)
                try read(place)
            case .drop:
                board.count { $0.churned += 1 }
                try open(place)
                planDrop(place, after: now.uptime)
            case .think:
                guard alarm.at < end else { continue }
                try send(make(clients[place].tenant, place, due: alarm.at))
            }
        }
        while let (at, id) = timeouts.first, at <= now.uptime {
            timeouts.removeFirst()
            timeOut(id)
        }
    }
}
