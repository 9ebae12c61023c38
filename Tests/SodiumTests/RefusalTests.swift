import Testing

@testable import Sodium

struct RefusalTests {
    @Test("an AEAD message with any byte changed, cut short or drawn out is refused")
    func aead() throws {
        let key = try SecretBytes.random(count: 32)
        let nonce = try SecureRandom().bytes(24)
        let associated: [UInt8] = [1, 2, 3]
        let sealed = try XChaCha20Poly1305.seal(Array(0..<40), nonce: nonce, associatedData: associated, key: key)
        func opens(_ sealed: [UInt8], _ nonce: [UInt8], _ associated: [UInt8]) -> Bool {
            (try? XChaCha20Poly1305.open(sealed, nonce: nonce, associatedData: associated, key: key)) != nil
        }
        #expect(opens(sealed, nonce, associated))
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(!opens(changed, nonce, associated))
            #expect(!opens(Array(sealed[..<index]), nonce, associated))
        }
        #expect(!opens(sealed + [0], nonce, associated))
        #expect(!opens(sealed, nonce, [1, 2]))
        #expect(!opens(sealed, nonce.reversed(), associated))
    }

    @Test("the two sides of an agreement meet, each direction with a key of its own")
    func agreement() throws {
        let client = try X25519KeyPair.generate()
        let server = try X25519KeyPair.generate()
        let near = try SessionKeys.client(client, server: server.publicKey)
        let far = try SessionKeys.server(server, client: client.publicKey)
        #expect(near.transmit.isEqual(to: far.receive))
        #expect(near.receive.isEqual(to: far.transmit))
        #expect(!near.receive.isEqual(to: near.transmit))
    }

    @Test("a key of low order is refused")
    func weakKey() throws {
        let own = try X25519KeyPair.generate()
        #expect(throws: SodiumError.self) { try SessionKeys.client(own, server: [UInt8](repeating: 0, count: 32)) }
    }

    @Test("a sealed box opens for its own key only")
    func sealedBox() throws {
        let keys = try X25519KeyPair.generate()
        let secret = try SecretBytes.random(count: 32)
        var box = try SealedBox.seal(secret, to: keys.publicKey)
        #expect(try SealedBox.open(box, with: keys).isEqual(to: secret))
        let other = try X25519KeyPair.generate()
        #expect(throws: SodiumError.self) { try SealedBox.open(box, with: other) }
        box[box.count - 1] ^= 1
        #expect(throws: SodiumError.self) { try SealedBox.open(box, with: keys) }
        #expect(throws: SodiumError.self) { try SealedBox.open([1, 2, 3], with: keys) }
    }

    @Test("a signature holds for its own message and key only")
    func signature() throws {
        let keys = try Ed25519KeyPair.generate()
        let signature = try keys.sign([1, 2, 3])
        #expect(keys.publicKey.accepts(signature, of: [1, 2, 3]))
        #expect(!keys.publicKey.accepts(signature, of: [1, 2]))
        #expect(!keys.publicKey.accepts(Array(signature.dropLast()), of: [1, 2, 3]))
        #expect(try !Ed25519KeyPair.generate().publicKey.accepts(signature, of: [1, 2, 3]))
    }

    @Test("keys of a wrong length are refused, with the length in the message")
    func lengths() throws {
        let short = try SecretBytes.random(count: 31)
        #expect(throws: SodiumError(.wrongLength, "an X25519 secret must have 32 bytes, not 31")) {
            try X25519KeyPair(secret: short)
        }
        #expect(throws: SodiumError.self) { try Ed25519KeyPair(seed: short) }
        #expect(throws: SodiumError.self) { try Ed25519PublicKey([1, 2, 3]) }
        #expect(throws: SodiumError.self) { try ChaCha20Stream(key: short) }
        #expect(throws: SodiumError.self) {
            try XChaCha20Poly1305.seal([], nonce: [], associatedData: [], key: SecretBytes.random(count: 32))
        }
    }

    @Test("a secret is printed as its length, and compared by value")
    func secretBytes() throws {
        let secret = try SecretBytes(copying: [7, 8, 9])
        #expect("\(secret)" == "secret of 3 bytes")
        #expect(secret.isEqual(to: try SecretBytes(copying: [7, 8, 9])))
        #expect(!secret.isEqual(to: try SecretBytes(copying: [7, 8])))
        #expect(try secret.slice(1..<3).isEqual(to: SecretBytes(copying: [8, 9])))
        #expect(throws: SodiumError.self) { try secret.slice(2..<4) }
        #expect(isEqualInConstantTime([1, 2], [1, 2]) && !isEqualInConstantTime([1, 2], [1, 3]))
    }

    @Test("places of secrets are used again, zeroed, and thousands at a time need few blocks")
    func shelf() throws {
        func hold(_ count: Int) throws {
            var held: [SecretBytes] = []
            for number in 0..<count {
                held.append(try SecretBytes(copying: [UInt8](repeating: UInt8(number & 255), count: 64)))
            }
            // Each has its own.
            #expect(
                held.enumerated().allSatisfy { number, secret in
                    secret.withUnsafeBytes { $0.allSatisfy { $0 == UInt8(number & 255) } }
                })
        }
        try hold(3_000)
        let blocks = SecretShelf.shared.blocks
        for _ in 0..<20 { try hold(3_000) }
        // Other tests take some meanwhile.
        #expect(SecretShelf.shared.blocks < blocks + 20)
        var isZeroed = true
        _ = try SecretBytes(count: 64) { memory in isZeroed = (0..<64).allSatisfy { memory[$0] == 0 } }
        #expect(isZeroed)
        let long = try SecretBytes(copying: [UInt8](repeating: 7, count: 65))
        #expect(long.withUnsafeBytes { $0.allSatisfy { $0 == 7 } })
    }
}
