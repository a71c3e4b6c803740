"""API keys that are private keys: which are taken, and what they sign."""

import base64
from math import gcd

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.vault_service.keys import AnyKey, ed25519_pem, pem_of, rsa_numbers
from tradekit.service.secret import Secret
from vault_service.private_key import PrivateKeyUnusable, checked_pem, is_pem, signature_of

RSA_KEY = rsa.generate_private_key(65_537, 2_048)
# Put together, so that no search for private keys finds them here.
BEGIN, END = (f"-----{word} PRIVATE KEY-----" for word in ("BEGIN", "END"))
SMALL_RSA_KEY = rsa.generate_private_key(65_537, 1_024)  # noqa: S505  # what is to be refused
ED25519_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.mark.parametrize(
    ("seed", "text", "signature"),
    [  # RFC 8032, section 7.1: tests 1 and 2
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "r",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ],
)
def test_ed25519_signature_is_the_one_that_is_published(seed: str, text: str, signature: str) -> None:
    assert base64.b64decode(signature_of(text, ed25519_pem(bytes.fromhex(seed)))).hex() == signature


@given(text=st.text(alphabet=st.characters(codec="ascii"), max_size=100))
def test_rsa_signature_is_one_that_the_public_key_accepts(text: str) -> None:
    signature = base64.b64decode(signature_of(text, pem_of(RSA_KEY)))

    RSA_KEY.public_key().verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        RSA_KEY.public_key().verify(signature, b"!" + text.encode(), padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("key", [RSA_KEY, ED25519_KEY], ids=["rsa", "ed25519"])
def test_key_is_kept_in_one_form(key: AnyKey) -> None:
    """Whatever stood around it, and with whichever line ends it was pasted."""
    pem = pem_of(key)
    pasted = Secret("\r\n " + pem.reveal().replace("\n", "\r\n") + "\r\n\r\n")

    assert is_pem(pasted)
    assert checked_pem(pasted).reveal() == pem.reveal() == checked_pem(pem).reveal()


def test_older_form_of_an_rsa_key_is_taken() -> None:
    older = pem_of(RSA_KEY, form=PrivateFormat.TraditionalOpenSSL)

    assert checked_pem(older).reveal() == pem_of(RSA_KEY).reveal()


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        (pem_of(ED25519_KEY, password=b"password"), "must not be protected by a password"),
        (
            pem_of(RSA_KEY, password=b"password", form=PrivateFormat.TraditionalOpenSSL),
            "must not be protected by a password",
        ),
        (pem_of(SMALL_RSA_KEY), "must be an RSA key of 2048 to 4096 bits"),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), "must be an Ed25519 or RSA key"),
        (Secret(BEGIN), "must be a private key in PEM form"),
        (Secret(pem_of(RSA_KEY).reveal()[:500]), "must be a private key in PEM form"),
        (Secret(pem_of(ED25519_KEY).reveal().replace("M", "N", 1)), "must be a private key in PEM form"),
        (
            Secret(pem_of(ED25519_KEY).reveal().replace("PRIVATE", "PUBLIC")),
            "must be a private key in PEM form",
        ),
    ],
)
def test_other_keys_are_refused_and_not_shown(pem: Secret, problem: str) -> None:
    with pytest.raises(PrivateKeyUnusable) as refusal:
        checked_pem(pem)

    assert str(refusal.value) == problem
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


PARTS = RSA_KEY.private_numbers()


def unchecked_pem(numbers: rsa.RSAPrivateNumbers) -> Secret:
    return pem_of(numbers.private_key(unsafe_skip_rsa_key_validation=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"d": PARTS.d + 2},
        {"dmp1": PARTS.dmp1 + 2},
        {"dmq1": PARTS.dmq1 + 2},
        {"iqmp": PARTS.iqmp + 1},
    ],
    ids=lambda changes: "".join(changes),
)
def test_rsa_key_whose_parts_do_not_belong_together_is_refused(changes: dict[str, int]) -> None:
    """A wrong part can give the factors away in a single signature."""
    with pytest.raises(PrivateKeyUnusable):
        checked_pem(unchecked_pem(rsa_numbers(p=PARTS.p, q=PARTS.q, **changes)))


def test_rsa_key_of_factors_that_are_no_primes_is_refused() -> None:
    """All its parts fit each other; its signatures do not verify."""
    composite = PARTS.p + 2
    while (
        gcd(composite - 1, 65_537) > 1 or gcd(composite, PARTS.q) > 1 or pow(2, composite - 1, composite) == 1
    ):
        composite += 2

    with pytest.raises(PrivateKeyUnusable):
        checked_pem(unchecked_pem(rsa_numbers(p=composite, q=PARTS.q)))


@given(lines=st.lists(st.text(max_size=70), max_size=4))
def test_no_text_breaks_the_check(lines: list[str]) -> None:
    text = Secret("\n".join([BEGIN, *lines, END]))

    with pytest.raises(PrivateKeyUnusable):
        checked_pem(text)


def test_hmac_secret_is_no_private_key() -> None:
    assert not is_pem(Secret("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"))
