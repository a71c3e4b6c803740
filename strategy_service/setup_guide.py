"""How to put an exported script on TradingView, step by step, in English and Korean."""

from enum import StrEnum

from strategy_service.pine_alert import AlertTarget


class Language(StrEnum):
    """Language of the guide, ISO 639-1."""

    ENGLISH = "en"
    KOREAN = "ko"


_ENGLISH = """# {name} on TradingView

Before you start: webhooks need a paid TradingView plan and two-factor authentication on your TradingView
account (Profile > Settings > Privacy and security).

1. Open a chart of **{symbol}** with the interval **{interval}**. Use candles or bars; Heikin Ashi, Renko
and the like
   trade at prices that no exchange has, and the script refuses them.
2. Open **Pine Editor**, delete what is there, paste the script, **Save**, then **Add to chart**.
3. Open the settings of the strategy on the chart (gear) > **Inputs** > **Alerts**. Enter the **Account id**
   ({account}) and the **Webhook secret** that was shown when you registered the account. Leave
   **Leverage** at 0 to keep the account's own.
4. Check the trades in **Strategy Tester**. Then press **Alert** (Alt + A).
5. **Condition**: choose **{name}**, and below it **alert() function calls only**. Not "Order fills and
alert()
   function calls": order fills would send texts that are no orders.
6. **Expiration**: open-ended, or note the date. An alert that has expired sends nothing.
7. **Notifications** > **Webhook URL**: enter the `webhook_url` that came with this script. TradingView
reaches only
   the ports 80 and 443 of a public IPv4 address, so put the gateway behind HTTPS on 443; `127.0.0.1`
   cannot work.
8. The message needs nothing: the script writes it itself. Press **Create**.
9. Try it: when the next signal comes, the alert log of TradingView shows the status of the webhook, and
your signal
   list here shows what was done for it.

Good to know

- An alert keeps the script, its inputs, symbol and interval as they were when it was created. After a
  change delete it and create a new one. One alert is needed for each chart.
- The script sends at most one alert a bar, when the bar closes. TradingView stops an alert that fires more
  than 15 times in 3 minutes.
- Stop loss and take profit are placed at the exchange with the entry. The chart may show an exit a little
  earlier or later; the exchange's counts.
- The secret is part of the alert's settings. Do not publish the script with it, and make a new secret when
  somebody else has seen it.
"""

_KOREAN = """# TradingView에서 {name} 사용하기

시작하기 전에: 웹훅을 쓰려면 TradingView 유료 요금제와 2단계 인증이 필요합니다
(프로필 > 설정 > 개인정보 및 보안).

1. **{symbol}** 차트를 열고 주기를 **{interval}**(으)로 맞춥니다. 캔들 또는 바 차트를 사용하세요. 하이킨아시,
렌코 등은
   거래소에 없는 가격으로 거래하므로 스크립트가 거부합니다.
2. **Pine 에디터**를 열어 기존 내용을 지우고 스크립트를 붙여넣은 뒤 **저장**하고 **차트에 추가**를 누릅니다.
3. 차트의 전략 설정(톱니바퀴) > **인풋** > **Alerts**를 엽니다. **Account id**({account})와 계정을 등록할 때
표시된
   **Webhook secret**을 입력합니다. **Leverage**를 0으로 두면 계정의 레버리지를 그대로 사용합니다.
4. **전략 테스터**에서 거래를 확인한 다음 **얼러트**(Alt + A)를 누릅니다.
5. **조건**: **{name}**을(를) 고르고 그 아래에서 **alert() 함수 호출만**(alert() function calls only)을
선택합니다.
   "주문 체결 및 alert() 함수 호출"은 고르지 마세요. 주문 체결 알림은 주문이 아닌 글을 보냅니다.
6. **만료**: 무기한으로 두거나 날짜를 적어 두세요. 만료된 얼러트는 아무것도 보내지 않습니다.
7. **알림** > **웹훅 URL**: 이 스크립트와 함께 받은 `webhook_url`을 입력합니다. TradingView는 공인 IPv4 주소의
80번과
   443번 포트에만 접속하므로 게이트웨이를 443번 HTTPS 뒤에 두세요. `127.0.0.1`은 동작하지 않습니다.
8. 메시지는 그대로 둡니다. 스크립트가 직접 작성합니다. **만들기**를 누릅니다.
9. 확인: 다음 신호가 오면 TradingView의 얼러트 로그에 웹훅 상태가 표시되고, 이곳의 신호 목록에서 처리 결과를
볼 수
   있습니다.

알아 두기

- 얼러트는 만들 때의 스크립트, 인풋, 심볼, 주기를 그대로 유지합니다. 바꾼 뒤에는 지우고 새로 만드세요.
  차트마다 얼러트가 하나씩 필요합니다.
- 스크립트는 봉이 마감될 때 봉마다 최대 한 번만 알립니다. TradingView는 3분에 15번 넘게 울린 얼러트를
  중지합니다.
- 손절과 익절은 진입과 함께 거래소에 주문으로 걸립니다. 차트의 청산 시점은 조금 다를 수 있으며, 거래소의 것이
  기준입니다.
- 시크릿은 얼러트 설정에 들어 있습니다. 시크릿이 든 스크립트를 공개하지 말고, 다른 사람이 보았다면 새로
  발급하세요.
"""

_TEXTS = {Language.ENGLISH: _ENGLISH, Language.KOREAN: _KOREAN}
_NO_ACCOUNT = {Language.ENGLISH: "from your account list", Language.KOREAN: "계정 목록에 있습니다"}


def setup_guide(name: str, target: AlertTarget, language: Language) -> str:
    """The steps for the strategy called `name`, Markdown."""
    account = f"`{target.account_id}`" if target.account_id else _NO_ACCOUNT[language]
    return _TEXTS[language].format(name=name, symbol=target.symbol, interval=target.interval, account=account)
