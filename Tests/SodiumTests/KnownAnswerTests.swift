import Sodium
import Testing

struct KnownAnswerTests {
    @Test("RFC 7693, appendix A: BLAKE2b-512 of abc")
    func blake2b() {
        #expect(
            BLAKE2b.hash(Array("abc".utf8), length: 64)
                == hex(
                    """
                    ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1
                    7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923
                    """))
    }

    /// By Python's hashlib: `blake2b(b"abc", digest_size=n, key=bytes(range(32))).hexdigest()`.
    @Test("BLAKE2b of other lengths, and keyed")
    func blake2bLengths() throws {
        let key = try SecretBytes(copying: [UInt8](0..<32))
        #expect(
            BLAKE2b.hash([0x61], [], [0x62, 0x63])
                == hex("bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"))
        #expect(BLAKE2b.hash(Array("abc".utf8), length: 16) == hex("cf4ab791c62b8d2b2109c90275287816"))
        #expect(
            BLAKE2b.mac(key: key, Array("abc".utf8), length: 32)
                == hex("d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f"))
        let derived = try BLAKE2b.derive(from: key, Array("a".utf8), Array("bc".utf8))
        #expect(
            derived.withUnsafeBytes { Array($0) }
                == hex("d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f"))
    }

    struct Signature: Sendable {
        let seed: String
        let publicKey: String
        let message: String
        let signature: String
    }

    @Test(
        "RFC 8032, section 7.1: Ed25519, tests 1 to 3",
        arguments: [
            Signature(
                seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                message: "",
                signature: """
                    e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155
                    5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b
                    """),
            Signature(
                seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                message: "72",
                signature: """
                    92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
                    085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00
                    """),
            Signature(
                seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                message: "af82",
                signature: """
                    6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac
                    18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a
                    """),
        ])
    func ed25519(vector: Signature) throws {
        let keys = try Ed25519KeyPair(seed: SecretBytes(copying: hex(vector.seed)))
        #expect(keys.publicKey.bytes == hex(vector.publicKey))
        #expect(try keys.sign(hex(vector.message)) == hex(vector.signature))
        #expect(keys.publicKey.accepts(hex(vector.signature), of: hex(vector.message)))
    }

    @Test("RFC 7748, section 6.1: the X25519 public key of Bob")
    func x25519() throws {
        let bob = try X25519KeyPair(
            secret: SecretBytes(copying: hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")))
        #expect(bob.publicKey == hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"))
    }

    @Test("draft-irtf-cfrg-xchacha-03, appendix A.3.1")
    func xchacha() throws {
        let plaintext = Array(
            """
            Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.
            """.utf8)
        let key = try SecretBytes(copying: [UInt8](0x80...0x9f))
        let nonce = [UInt8](0x40...0x57)
        let associated = hex("50515253c0c1c2c3c4c5c6c7")
        let expected = hex(
            """
            bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb
            731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452
            2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9
            21f9664c97637da9768812f615c68b13b52e
            c0875924c1c7987947deafd8780acf49
            """)
        let sealed = try XChaCha20Poly1305.seal(plaintext, nonce: nonce, associatedData: associated, key: key)
        #expect(sealed == expected)
        #expect(
            try XChaCha20Poly1305.open(sealed, nonce: nonce, associatedData: associated, key: key) == plaintext)
    }

    @Test("RFC 8439, appendix A.1: the first two blocks of ChaCha20 under the zero key")
    func chacha20() throws {
        var stream = try ChaCha20Stream(key: SecretBytes(copying: [UInt8](repeating: 0, count: 32)))
        #expect(
            try stream.read(blocks: 1)
                == hex(
                    """
                    76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7
                    da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586
                    """))
        #expect(
            try stream.read(blocks: 1)
                == hex(
                    """
                    9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed
                    29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f
                    """))
    }
}
